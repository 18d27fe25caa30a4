# Trust

variable "cleaner_role_arns" {
  description = "ARNs of the roles of the cleaners that may assume the role: the output role_arn of the module, for each region with a cleaner. The roles must exist."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.cleaner_role_arns) > 0 && alltrue([for arn in var.cleaner_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[0-9A-Za-z_+=,.@/-]+$", arn))])
    error_message = "cleaner_role_arns is ${jsonencode(var.cleaner_role_arns)}; it must have at least one ARN of an IAM role, without wildcards, such as arn:aws:iam::123456789012:role/ecr-cleaner-eu-central-1."
  }
}

variable "external_id" {
  description = "External id that the cleaner must pass: scan_external_id of the module. Null requires none."
  type        = string
  default     = null

  validation {
    condition     = var.external_id == null ? true : can(regex("^[0-9A-Za-z_+=,.@:/-]+$", var.external_id)) && length(var.external_id) >= 2 && length(var.external_id) <= 1224
    error_message = "external_id is \"${var.external_id == null ? "null" : var.external_id}\"; it must be null or have 2 to 1224 letters, digits and +=,.@:/_-."
  }
}

variable "organization_id" {
  description = "Id of the organization that the cleaner's account must be in. Null does not check it."
  type        = string
  default     = null

  validation {
    condition     = var.organization_id == null ? true : can(regex("^o-[a-z0-9]{10,32}$", var.organization_id))
    error_message = "organization_id is \"${var.organization_id == null ? "null" : var.organization_id}\"; it must be null or the id of an organization, such as o-a1b2c3d4e5."
  }
}

# Permissions

variable "scan_regions" {
  description = "Regions in which the role may read. They must include those in scan_regions of the cleaner. An empty list means every region."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for region in var.scan_regions : can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", region))])
    error_message = "scan_regions is ${jsonencode(var.scan_regions)}; each entry must be the name of a region, such as eu-west-1. An empty list means every region."
  }
}

variable "waived_sources" {
  description = "Usage sources whose permissions the role does not get. Waive a source here only if waived_sources of the cleaner has it, or each run fails."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.waived_sources, keys(local.permissions.usage))) == 0
    error_message = "waived_sources is ${jsonencode(var.waived_sources)}; the allowed sources are ${join(", ", keys(local.permissions.usage))}."
  }
}

# Role

variable "name" {
  description = "Name of the role. If it is another than the default, set scan_role_name of the cleaner to the output scan_role_name."
  type        = string
  default     = "ecr-cleaner-scan"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9A-Za-z_+=,.@-]{1,64}$", var.name))
    error_message = "name is \"${var.name}\"; it must have 1 to 64 letters, digits and +=,.@_-."
  }
}

variable "path" {
  description = "Path of the role. If it is another than the default, set scan_role_name of the cleaner to the output scan_role_name."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([0-9A-Za-z_+=,.@-]+/)*$", var.path)) && length(var.path) <= 512
    error_message = "path is \"${var.path}\"; it must begin and end with a slash, such as /platform/."
  }
}

variable "permissions_boundary" {
  description = "ARN of the IAM policy that is the permissions boundary of the role. Null sets no boundary."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null ? true : can(regex("^arn:[^:]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary is \"${var.permissions_boundary == null ? "null" : var.permissions_boundary}\"; it must be null or the ARN of an IAM policy."
  }
}

variable "tags" {
  description = "Tags for the role."
  type        = map(string)
  default     = {}
  nullable    = false
}
