# The account of the registry, in which the cleaner runs.
provider "aws" {
  region = var.region
}

# A member account of the organization, in which images of the registry run.
provider "aws" {
  alias  = "member"
  region = var.region

  assume_role {
    role_arn = "arn:aws:iam::${var.member_account_id}:role/${var.member_admin_role}"
  }
}

module "ecr_cleaner" {
  source = "../../terraform"

  dry_run           = true # only report; set to false to remove images
  default_keep_days = 30

  scan_accounts    = ["organization"]
  scan_external_id = var.external_id
}

# For all other member accounts, use the StackSet: see the README of the module.
module "scan_role" {
  source    = "../../terraform/modules/scan-role"
  providers = { aws = aws.member }

  cleaner_role_arns = [module.ecr_cleaner.role_arn]
  external_id       = var.external_id
  organization_id   = var.organization_id
}
