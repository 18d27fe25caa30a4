# What an instance is without a single variable: a dry run that builds its own image.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_service" {
    defaults = {
      partition = "aws"
      region    = "eu-central-1"
    }
  }
}

run "defaults" {
  command = plan

  assert {
    condition = output.environment == {
      ACTION               = "delete"
      DEFAULT_KEEP_DAYS    = "30"
      DRY_RUN              = "true"
      EXPECT_NO_USAGE      = "false"
      INSPECTOR_COVERAGE   = "false"
      KEEP_COUNT           = "0"
      LOG_LEVEL            = "INFO"
      MAX_DELETIONS        = "10000"
      RESCAN_AFTER_SECONDS = "180"

      TASK_DEFINITION_REVISIONS = "1"
    }
    error_message = "The function's settings: ${jsonencode(output.environment)}"
  }

  assert {
    condition     = aws_lambda_function.this.architectures == tolist(["arm64"])
    error_message = "arm64 is the default."
  }

  assert {
    condition     = aws_lambda_function.this.timeout == 900
    error_message = "A run may take as long as Lambda allows."
  }

  assert {
    condition     = aws_lambda_function.this.package_type == "Image"
    error_message = "The function is an image."
  }

  assert {
    condition     = length(aws_lambda_function.this.vpc_config) == 0
    error_message = "The function is not in a VPC."
  }

  assert {
    condition     = one(aws_lambda_function.this.logging_config).application_log_level == "INFO"
    error_message = "Lambda drops none of the lines that LOG_LEVEL lets through."
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.this.maximum_retry_attempts == 0
    error_message = "Lambda does not repeat a failed run."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/ecr-cleaner" && aws_cloudwatch_log_group.this.retention_in_days == 90
    error_message = "The function writes to a log group of its own, kept for 90 days."
  }
}

run "schedule" {
  command = plan

  assert {
    condition     = aws_scheduler_schedule.this.schedule_expression == "cron(0 0 * * ? *)"
    error_message = "The cleaner runs at midnight,"
  }

  assert {
    condition     = aws_scheduler_schedule.this.schedule_expression_timezone == "UTC"
    error_message = "of UTC,"
  }

  assert {
    condition     = aws_scheduler_schedule.this.state == "ENABLED"
    error_message = "from the first day,"
  }

  assert {
    condition     = one(one(aws_scheduler_schedule.this.target).retry_policy).maximum_retry_attempts == 0
    error_message = "and once a day only."
  }

  assert {
    condition     = jsondecode(aws_iam_role.schedule.assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    error_message = "Only this account's schedules take the role."
  }
}

run "own_repository" {
  command = plan

  variables {
    tags = { team = "platform", BoxCleanerEnabled = "true" }
  }

  assert {
    condition     = aws_ecr_repository.this[0].image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this[0].force_delete
    error_message = "A tag always means the same sources, and destroy leaves no image behind."
  }

  assert {
    condition     = one(aws_ecr_repository.this[0].image_scanning_configuration).scan_on_push
    error_message = "The image is scanned."
  }

  assert {
    condition     = aws_ecr_repository.this[0].tags == tomap({ team = "platform", BoxCleanerEnabled = "false" })
    error_message = "The cleaner's own repository is never opted in to cleaning, not even by the provider's default tags."
  }

  assert {
    condition     = length(terraform_data.image) == 1
    error_message = "The image is built."
  }
}

run "names_do_not_collide" {
  command = plan

  variables {
    name = "ecr-cleaner-strict"
  }

  assert {
    condition = [
      aws_lambda_function.this.function_name, aws_ecr_repository.this[0].name, aws_scheduler_schedule.this.name,
      aws_cloudwatch_log_group.this.name, aws_iam_role.function.name, aws_iam_role.schedule.name,
      aws_sns_topic.alarms[0].name, aws_cloudwatch_dashboard.this[0].dashboard_name, output.metric_namespace,
      ] == [
      "ecr-cleaner-strict", "ecr-cleaner-strict", "ecr-cleaner-strict",
      "/aws/lambda/ecr-cleaner-strict", "ecr-cleaner-strict-eu-central-1", "ecr-cleaner-strict-eu-central-1-schedule",
      "ecr-cleaner-strict-alarms", "ecr-cleaner-strict-eu-central-1", "ECRCleaner/ecr-cleaner-strict",
    ]
    error_message = "Every name begins with var.name, and those of IAM and of dashboards, which are global, hold the region."
  }

  assert {
    condition     = alltrue([for name in concat(output.alarm_names, output.saved_query_names) : startswith(name, "ecr-cleaner-strict")])
    error_message = "So do alarms and saved queries: ${jsonencode(concat(output.alarm_names, output.saved_query_names))}"
  }
}
