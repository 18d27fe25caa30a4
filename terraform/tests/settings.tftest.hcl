# The environment variables and settings of the function for given variables.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"
}

run "every_setting" {
  command = plan

  variables {
    dry_run              = false
    default_keep_days    = 0
    keep_count           = 3
    keep_tag_patterns    = ["v*", "release-?"]
    keep_pulled_days     = 0
    action               = "archive"
    archive_days         = 0
    max_deletions        = 1000000
    expect_no_usage      = true
    rescan_after_seconds = 0
    log_level            = "WARNING"
    waived_sources       = ["ecs", "app-runner"]
    waived_guards        = ["eks-clusters", "cross-account-pull"]

    task_definition_revisions = 0
    reference_lists           = ["s3://lists/images.json", "ssm:/lists/images"]
    inspector_coverage        = true

    reference_lists_max_age_days = 30
    waived_clusters              = ["test", "dev"]
    waived_api_groups            = ["tekton.dev", "argoproj.io"]
    cluster_documents            = ["s3://usage/clusters/", "s3://usage/other/k3s.json"]
    cluster_document_minutes     = 60
    untagged_keep_days           = 7
    keep_used_days               = 0
    events_enabled               = false
    register_pull_exclusion      = false
    price_per_gb_month           = 0.125
    plan_max_age_days            = 3
    approval                     = true
    approval_topic_arn           = "arn:aws:sns:eu-central-1:123456789012:approvals"

    https_proxy = "http://proxy.example.com:3128"
    no_proxy    = ["example.com", "sts.eu-central-1.amazonaws.com"]

    repository_rules = [
      {
        repositories      = ["team-a/*", "team-b/*"]
        keep_days         = 90
        keep_count        = 5
        keep_tag_patterns = ["v*"]
        keep_pulled_days  = 7
        waived_guards     = ["delete-replication"]

        untagged_keep_days = 3
        keep_used_days     = 60
      },
      { repositories = ["*"] },
    ]
  }

  assert {
    condition = output.environment == {
      ACTION               = "archive"
      ARCHIVE_DAYS         = "0"
      DEFAULT_KEEP_DAYS    = "0"
      DRY_RUN              = "false"
      EXPECT_NO_USAGE      = "true"
      KEEP_COUNT           = "3"
      KEEP_PULLED_DAYS     = "0"
      KEEP_TAG_PATTERNS    = "v*,release-?"
      LOG_LEVEL            = "WARNING"
      MAX_DELETIONS        = "1000000"
      MIN_KEEP_DAYS        = "0"
      REPOSITORY_RULES     = "[{\"keep_count\":5,\"keep_days\":90,\"keep_pulled_days\":7,\"keep_tag_patterns\":[\"v*\"],\"keep_used_days\":60,\"repositories\":[\"team-a/*\",\"team-b/*\"],\"untagged_keep_days\":3,\"waived_guards\":[\"delete-replication\"]},{\"repositories\":[\"*\"]}]"
      RESCAN_AFTER_SECONDS = "0"
      WAIVED_SOURCES       = "app-runner,ecs"
      WAIVED_GUARDS        = "cross-account-pull,eks-clusters"
      INSPECTOR_COVERAGE   = "true"
      REFERENCE_LISTS      = "s3://lists/images.json,ssm:/lists/images"

      TASK_DEFINITION_REVISIONS = "0"

      REFERENCE_LISTS_MAX_AGE_DAYS = "30"
      WAIVED_CLUSTERS              = "dev,test"
      WAIVED_API_GROUPS            = "argoproj.io,tekton.dev"
      CLUSTER_DOCUMENTS            = "s3://usage/clusters/,s3://usage/other/k3s.json"
      CLUSTER_DOCUMENT_MINUTES     = "60"
      UNTAGGED_KEEP_DAYS           = "7"
      KEEP_USED_DAYS               = "0"
      PRICE_PER_GB_MONTH           = "0.125"
      PLAN_MAX_AGE_DAYS            = "3"
      APPROVAL                     = "true"
      APPROVAL_TOPIC_ARN           = "arn:aws:sns:eu-central-1:123456789012:approvals"
      LEDGER                       = "s3://ecr-cleaner-123456789012-eu-central-1/ledger"
      PLANS                        = "s3://ecr-cleaner-123456789012-eu-central-1/plans/"
      REGISTER_PULL_EXCLUSION      = "false"

      HTTPS_PROXY = "http://proxy.example.com:3128"
      NO_PROXY    = "example.com,sts.eu-central-1.amazonaws.com"
    }
    error_message = "The function has unexpected settings: ${jsonencode(output.environment)}"
  }

  assert {
    condition     = aws_lambda_function.this.environment[0].variables == tomap(output.environment)
    error_message = "The output environment must be the environment of the function."
  }

  assert {
    condition     = one(aws_lambda_function.this.logging_config).application_log_level == "INFO"
    error_message = "Lambda must not filter above INFO, because it does not know the level \"warning\" and would drop such lines."
  }
}

run "rules_log_level_and_log_group" {
  command = plan

  variables {
    repository_rules       = [{ repositories = ["app"], keep_days = "90", keep_count = null, keep_tag_patterns = null }]
    log_level              = "DEBUG"
    log_group_class        = "INFREQUENT_ACCESS"
    log_group_skip_destroy = true
    metrics_enabled        = false
  }

  assert {
    condition     = output.environment.REPOSITORY_RULES == "[{\"keep_days\":90,\"repositories\":[\"app\"]}]"
    error_message = "REPOSITORY_RULES must have numbers instead of strings, and no nulls: ${output.environment.REPOSITORY_RULES}"
  }

  assert {
    condition     = one(aws_lambda_function.this.logging_config).application_log_level == "DEBUG"
    error_message = "Lambda must not drop debug lines."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this[0].log_group_class == "INFREQUENT_ACCESS" && aws_cloudwatch_log_group.this[0].skip_destroy
    error_message = "The log group must have the class, and stay when it is destroyed."
  }
}

run "function_schedule_and_logs" {
  command = plan

  variables {
    architecture                   = "x86_64"
    memory_size                    = 1024
    timeout                        = 120
    reserved_concurrent_executions = 1
    schedule_enabled               = false
    schedule_expression            = "rate(12 hours)"
    schedule_timezone              = "Europe/Warsaw"
    log_retention_days             = 0
    run_interval_hours             = 48
    tags                           = { team = "platform" }
  }

  assert {
    condition     = aws_lambda_function.this.architectures == tolist(["x86_64"]) && aws_lambda_function.this.memory_size == 1024 && aws_lambda_function.this.timeout == 120
    error_message = "The function must have the architecture, memory and timeout of the variables."
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 1
    error_message = "The function must reserve the concurrency of the variable."
  }

  assert {
    condition     = aws_scheduler_schedule.this.state == "DISABLED" && aws_scheduler_schedule.this.schedule_expression == "rate(12 hours)" && aws_scheduler_schedule.this.schedule_expression_timezone == "Europe/Warsaw"
    error_message = "The schedule must have the state, expression and time zone of the variables."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this[0].retention_in_days == 0
    error_message = "The log group must keep its log forever."
  }

  assert {
    condition = alltrue([
      for tags in [aws_lambda_function.this.tags, aws_cloudwatch_log_group.this[0].tags, aws_iam_role.function[0].tags, aws_iam_role.schedule.tags,
      aws_sns_topic.alarms[0].tags, aws_cloudwatch_metric_alarm.function_failed[0].tags, aws_cloudwatch_metric_alarm.deletions_failed[0].tags] :
      tags == tomap({ team = "platform" })
    ])
    error_message = "All resources that accept tags must have the tags of the variable."
  }
}

run "environment_too_large" {
  command = plan

  variables {
    repository_rules = [for number in range(100) : { repositories = ["a-rather-long-name-of-a-team-${number}/*"], keep_days = 90 }]
  }

  expect_failures = [aws_lambda_function.this]
}

run "another_name_with_the_old_log_group" {
  command = plan

  variables {
    name           = "renamed"
    log_group_name = "/aws/lambda/ecr-cleaner"
  }

  assert {
    condition = [
      aws_cloudwatch_log_group.this[0].name, one(aws_lambda_function.this.logging_config).log_group, output.log_group_name,
      aws_cloudwatch_log_metric_filter.this["ImagesRemoved"].log_group_name,
    ] == ["/aws/lambda/ecr-cleaner", "/aws/lambda/ecr-cleaner", "/aws/lambda/ecr-cleaner", "/aws/lambda/ecr-cleaner"]
    error_message = "A renamed function must keep its log."
  }
}

run "existing_log_group" {
  command = plan

  variables {
    create_log_group = false
    log_group_name   = "/platform/cleaner"
  }

  assert {
    condition     = length(aws_cloudwatch_log_group.this) == 0 && one(aws_lambda_function.this.logging_config).log_group == "/platform/cleaner"
    error_message = "The function must write to the existing log group."
  }

  assert {
    condition     = one([for statement in jsondecode(output.role_policy).Statement : statement.Resource if statement.Sid == "WriteLogs"]) == "${output.log_group_arn}:*"
    error_message = "The function must be allowed to write to the existing log group."
  }
}

run "another_partition" {
  command = plan

  variables {
    image_uri = "123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk/tools/ecr-cleaner:1.0.0"
  }

  override_data {
    target = data.aws_service.ecr
    values = {
      partition = "aws-iso-e"
      region    = "eu-isoe-west-1"
      dns_name  = "ecr.eu-isoe-west-1.cloud.adc-e.uk"
    }
  }

  assert {
    condition     = output.environment.EVENT_QUEUE == "https://sqs.eu-isoe-west-1.cloud.adc-e.uk/123456789012/ecr-cleaner-events"
    error_message = "The address of the queue must have the domain of the partition: ${output.environment.EVENT_QUEUE}"
  }

  assert {
    condition     = local.via_suffix == "cloud.adc-e.uk*"
    error_message = "Keys must be usable through the services of the partition: ${local.via_suffix}"
  }
}

run "several_instances" {
  command = plan

  module {
    source = "./tests/several_instances"
  }

  assert {
    condition     = output.log_group_names == ["/aws/lambda/team-a", "/aws/lambda/team-b"]
    error_message = "The block of the module must accept count, for_each and depends_on: ${jsonencode(output.log_group_names)}"
  }
}
