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

  # What is kept: 30 days, and in every repository the newest 3 images that nothing uses.
  dry_run           = var.dry_run
  default_keep_days = 30
  keep_count        = 3
  keep_tag_patterns = ["v*", "release-*"]
  keep_pulled_days  = 14

  # The first rule that matches a repository applies; what it leaves out is taken from above.
  repository_rules = [
    {
      repositories      = ["payments/*", "billing/*"]
      keep_days         = 365
      keep_count        = 20
      keep_tag_patterns = ["*"]
    },
    {
      # Other accounts may pull these; what they run is in var.reference_lists.
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

  # What counts as in use, besides what runs: the newest two revisions of every task definition family,
  # and images that consumers outside of AWS are known to run.
  task_definition_revisions = 2
  reference_lists           = var.reference_lists

  # What is done: archived first, deleted for good half a year later.
  action               = "archive"
  archive_days         = 180
  max_deletions        = 5000
  rescan_after_seconds = 120

  # When: on working days at three in the morning, where the team lives.
  schedule_expression        = "cron(0 3 ? * MON-FRI *)"
  schedule_timezone          = "Europe/Warsaw"
  run_interval_hours         = 72 # from Friday to Monday
  on_failure_destination_arn = aws_sns_topic.failed_runs.arn

  # On what it is built and runs.
  container_engine = var.container_engine
  extra_build_args = var.extra_build_args
  architecture     = var.architecture
  memory_size      = 1024

  # One at a time. Leave it out where the account's quota of concurrent executions is low.
  reserved_concurrent_executions = 1

  # Who is told of failures, failed deletions and silence. Saved queries, metrics and a dashboard are
  # there as well unless they are switched off.
  alarm_emails = var.alarm_emails

  log_level          = "INFO"
  log_retention_days = 365
}

# Is told of every failed run with its event and its error, which an alarm does not know.
resource "aws_sns_topic" "failed_runs" {
  name              = "${var.name}-failed-runs"
  kms_master_key_id = "alias/aws/sns"
}
