provider "aws" {
  region = var.region

  default_tags {
    tags = { Project = var.name }
  }
}

module "ecr_cleaner" {
  source = "../../terraform"

  name = var.name
  tags = { Team = "platform" }

  # Keep images for 30 days, and the 3 newest unused images of each repository.
  dry_run           = var.dry_run
  default_keep_days = 30
  keep_count        = 3
  keep_tag_patterns = ["v*", "release-*"]
  keep_pulled_days  = 14

  # If true, the schedule only plans, and images are removed by applying a plan.
  approval = var.approval

  # The first rule that matches a repository applies. Attributes that it leaves out come from above.
  repository_rules = [
    {
      repositories      = ["payments/*", "billing/*"]
      keep_days         = 365
      keep_count        = 20
      keep_tag_patterns = ["*"]
    },
    {
      # Other accounts may pull these images. var.reference_lists must list those that they use.
      repositories  = ["shared/*"]
      keep_days     = 180
      waived_guards = ["cross-account-pull"]
    },
    {
      repositories     = ["sandbox/*"]
      keep_days        = 3
      keep_count       = 0
      keep_pulled_days = 0
    },
  ]

  # Also in use: the two newest revisions of each task definition family, and the images that consumers
  # outside AWS use.
  task_definition_revisions = 2
  reference_lists           = var.reference_lists

  # Look for consumers in these regions. Empty: in every enabled region.
  scan_regions = var.scan_regions

  # Look for consumers in these accounts too. Each needs the role of terraform/modules/scan-role.
  scan_accounts = var.scan_accounts

  # Archive unused images, and delete them permanently half a year later.
  action               = "archive"
  archive_days         = 180
  max_deletions        = 5000
  rescan_after_seconds = 120

  # Run on working days at 3:00 in the time zone of the team.
  schedule_expression        = "cron(0 3 ? * MON-FRI *)"
  schedule_timezone          = "Europe/Warsaw"
  run_interval_hours         = 72 # the gap from Friday to Monday
  on_failure_destination_arn = aws_sns_topic.failed_runs.arn

  # Image build and function.
  container_engine = var.container_engine
  extra_build_args = var.extra_build_args
  architecture     = var.architecture
  memory_size      = 1024

  # Prevent overlapping runs. Remove this if the account has a low quota of concurrent executions.
  reserved_concurrent_executions = 1

  # Send the alarms by e-mail. Saved queries, metrics and the dashboard are enabled by default.
  alarm_emails = var.alarm_emails

  log_level          = "INFO"
  log_retention_days = 365
}

# Receives each failed run with its event and error, which an alarm does not contain.
resource "aws_sns_topic" "failed_runs" {
  name              = "${var.name}-failed-runs"
  kms_master_key_id = "alias/aws/sns"
}
