provider "aws" {
  region = "eu-central-1"
}

provider "aws" {
  alias  = "us"
  region = "us-east-1"
}

locals {
  # The settings that both regions share.
  settings = {
    dry_run           = true # only report; set to false to remove images
    default_keep_days = 30
    keep_count        = 3
    keep_tag_patterns = ["v*"]
  }
}

# A cleaner cleans only the registry of its own region, so each region with opted-in repositories needs one.
module "eu" {
  source = "../../terraform"

  dry_run           = local.settings.dry_run
  default_keep_days = local.settings.default_keep_days
  keep_count        = local.settings.keep_count
  keep_tag_patterns = local.settings.keep_tag_patterns

  schedule_expression = "cron(0 2 * * ? *)"
  schedule_timezone   = "Europe/Berlin"
}

module "us" {
  source    = "../../terraform"
  providers = { aws = aws.us }

  dry_run           = local.settings.dry_run
  default_keep_days = local.settings.default_keep_days
  keep_count        = local.settings.keep_count
  keep_tag_patterns = local.settings.keep_tag_patterns

  schedule_expression = "cron(0 2 * * ? *)"
  schedule_timezone   = "America/New_York"
}
