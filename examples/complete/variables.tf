variable "region" {
  description = "Region of the cleaner and of the images that it cleans."
  type        = string
  default     = "eu-central-1"
}

variable "scan_regions" {
  description = "Regions in which images of the registry run. Empty means every enabled region."
  type        = list(string)
  default     = []
}

variable "scan_accounts" {
  description = "Other accounts in which images of the registry run."
  type        = list(string)
  default     = []
}

variable "name" {
  description = "Name of the function, and prefix of the names of other resources."
  type        = string
  default     = "ecr-cleaner"
}

variable "dry_run" {
  description = "Whether the cleaner only reports what it would remove."
  type        = bool
  default     = true
}

variable "approval" {
  description = "Whether the schedule only plans, so that images are removed only by applying a plan."
  type        = bool
  default     = false
}

variable "architecture" {
  description = "Instruction set of the function and its image: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "container_engine" {
  description = "Command that builds and pushes the image: docker, podman, finch or nerdctl."
  type        = string
  default     = "docker"
}

variable "extra_build_args" {
  description = "Additional arguments of the build command of the container engine."
  type        = list(string)
  default     = []
}

variable "reference_lists" {
  description = "Lists of images that are in use outside AWS, as s3://BUCKET/KEY or ssm:NAME."
  type        = list(string)
  default     = []
}

variable "alarm_emails" {
  description = "E-mail addresses that receive alarms after they have confirmed the subscription."
  type        = list(string)
  default     = []
}
