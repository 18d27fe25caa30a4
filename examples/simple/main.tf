provider "aws" {
  region = "eu-central-1"
}

module "ecr_cleaner" {
  source = "../../terraform"

  dry_run           = true # only reports; set to false once you like what you read
  default_keep_days = 30
}
