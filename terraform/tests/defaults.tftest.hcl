# An instance without any variables: a dry run that builds its own image.

mock_provider "aws" {
  source = "./tests/aws"
}

run "defaults" {
  command = plan

  assert {
    condition = output.environment == {
      ACTION                   = "delete"
      DEFAULT_KEEP_DAYS        = "30"
      DRY_RUN                  = "true"
      EXPECT_NO_USAGE          = "false"
      INSPECTOR_COVERAGE       = "false"
      MIN_KEEP_DAYS            = "0"
      CLUSTER_DOCUMENT_MINUTES = "120"
      KEEP_COUNT               = "0"
      LOG_LEVEL                = "INFO"
      MAX_DELETIONS            = "10000"
      RESCAN_AFTER_SECONDS     = "180"
      KEEP_USED_DAYS           = "14"

      LEDGER      = "s3://ecr-cleaner-123456789012-eu-central-1/ledger"
      EVENT_QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/ecr-cleaner-events"
      PLANS       = "s3://ecr-cleaner-123456789012-eu-central-1/plans/"

      PRICE_PER_GB_MONTH      = "0.1"
      PLAN_MAX_AGE_DAYS       = "7"
      APPROVAL                = "false"
      REGISTER_PULL_EXCLUSION = "true"

      TASK_DEFINITION_REVISIONS    = "1"
      REFERENCE_LISTS_MAX_AGE_DAYS = "7"
    }
    error_message = "The function has unexpected settings: ${jsonencode(output.environment)}"
  }

  assert {
    condition     = aws_lambda_function.this.architectures == tolist(["arm64"])
    error_message = "The default architecture must be arm64."
  }

  assert {
    condition     = aws_lambda_function.this.timeout == 900
    error_message = "The default timeout must be the maximum of Lambda."
  }

  assert {
    condition     = aws_lambda_function.this.package_type == "Image"
    error_message = "The function must run from an image."
  }

  assert {
    condition     = length(aws_lambda_function.this.vpc_config) == 0
    error_message = "The function must not run in a VPC."
  }

  assert {
    condition     = one(aws_lambda_function.this.logging_config).application_log_level == "INFO"
    error_message = "Lambda must not drop log lines that LOG_LEVEL allows."
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.this.maximum_retry_attempts == 0
    error_message = "Lambda must not retry a failed run."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this[0].name == "/aws/lambda/ecr-cleaner" && aws_cloudwatch_log_group.this[0].retention_in_days == 90
    error_message = "The function must have its own log group with a retention of 90 days."
  }

  # Schedule
  assert {
    condition     = aws_scheduler_schedule.this.schedule_expression == "cron(0 0 * * ? *)"
    error_message = "The cleaner must run at midnight."
  }

  assert {
    condition     = aws_scheduler_schedule.this.schedule_expression_timezone == "UTC"
    error_message = "The time zone of the schedule must be UTC."
  }

  assert {
    condition     = aws_scheduler_schedule.this.state == "ENABLED"
    error_message = "The schedule must be enabled."
  }

  assert {
    condition     = one(one(aws_scheduler_schedule.this.target).retry_policy).maximum_retry_attempts == 0
    error_message = "The schedule must not retry."
  }

  assert {
    condition     = jsondecode(aws_iam_role.schedule.assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    error_message = "Only schedules in this account may assume the role."
  }
}

run "tags_and_another_name" {
  command = plan

  variables {
    tags = { team = "platform", BoxCleanerEnabled = "true" }
    name = "ecr-cleaner-strict"
  }

  # Its own repository
  assert {
    condition     = aws_ecr_repository.this[0].image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this[0].force_delete
    error_message = "Tags must be immutable, and destroying the module must delete the repository with its images."
  }

  assert {
    condition     = one(aws_ecr_repository.this[0].image_scanning_configuration).scan_on_push
    error_message = "ECR must scan images on push."
  }

  assert {
    condition     = aws_ecr_repository.this[0].tags == tomap({ team = "platform", BoxCleanerEnabled = "false" })
    error_message = "The repository of the module must not be opted in to cleaning, even by tags of the operator."
  }

  assert {
    condition     = length(terraform_data.image) == 1
    error_message = "The module must build the image."
  }

  # Names
  assert {
    condition = [
      aws_lambda_function.this.function_name, aws_ecr_repository.this[0].name, aws_scheduler_schedule.this.name,
      aws_cloudwatch_log_group.this[0].name, aws_iam_role.function[0].name, aws_iam_role.schedule.name,
      aws_sns_topic.alarms[0].name, aws_cloudwatch_dashboard.this[0].dashboard_name, output.metric_namespace,
      ] == [
      "ecr-cleaner-strict", "ecr-cleaner-strict", "ecr-cleaner-strict",
      "/aws/lambda/ecr-cleaner-strict", "ecr-cleaner-strict-eu-central-1", "ecr-cleaner-strict-eu-central-1-schedule",
      "ecr-cleaner-strict-alarms", "ecr-cleaner-strict-eu-central-1", "ECRCleaner/ecr-cleaner-strict",
    ]
    error_message = "All names must contain var.name, and the names of IAM roles and dashboards, which are global, must contain the region."
  }

  assert {
    condition     = alltrue([for name in concat(output.alarm_names, output.saved_query_names) : startswith(name, "ecr-cleaner-strict")])
    error_message = "The names of alarms and saved queries must start with var.name: ${jsonencode(concat(output.alarm_names, output.saved_query_names))}"
  }
}
