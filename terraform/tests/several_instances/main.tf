# The module with count, for_each and depends_on in its block.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

variable "image_uri" {
  description = "Existing image, so that the module builds none."
  type        = string
}

resource "terraform_data" "dependency" {}

module "disabled" {
  source = "../.."
  count  = 0

  image_uri = var.image_uri
}

module "instance" {
  source     = "../.."
  for_each   = { team-a = ["team-a/*"], team-b = ["team-b/*"] }
  depends_on = [terraform_data.dependency]

  name      = each.key
  image_uri = var.image_uri
}

output "log_group_names" {
  description = "Names of the log groups."
  value       = [for instance in concat(module.disabled, values(module.instance)) : instance.log_group_name]
}
