variable "region" {
  description = "Region of the registry."
  type        = string
  default     = "eu-central-1"
}

variable "organization_id" {
  description = "Id of the organization, such as o-a1b2c3d4e5."
  type        = string
}

variable "member_account_id" {
  description = "Id of the member account."
  type        = string
}

variable "member_admin_role" {
  description = "Role with which Terraform creates the scan role in the member account."
  type        = string
  default     = "OrganizationAccountAccessRole"
}

variable "external_id" {
  description = "Any text that the cleaner passes when it assumes the scan role."
  type        = string
  default     = "ecr-cleaner"
}
