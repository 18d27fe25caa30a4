variable "region" {
  description = "Region whose images are cleaned."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "Name of the function and prefix of everything else."
  type        = string
  default     = "ecr-cleaner"
}

variable "dry_run" {
  description = "Whether the cleaner only reports."
  type        = bool
  default     = true
}

variable "architecture" {
  description = "Instruction set of the function: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "container_engine" {
  description = "Command that builds the image: docker, podman, finch or nerdctl."
  type        = string
  default     = "docker"
}

variable "extra_build_args" {
  description = "Further arguments of the engine's build command."
  type        = list(string)
  default     = []
}

variable "reference_lists" {
  description = "Lists of images that consumers outside of AWS run, as s3://BUCKET/KEY or ssm:NAME."
  type        = list(string)
  default     = []
}

variable "alarm_emails" {
  description = "Addresses that the alarms are sent to, once they have confirmed."
  type        = list(string)
  default     = []
}
