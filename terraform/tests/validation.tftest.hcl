# Values that the variables reject. Each run expects all variables in expect_failures to reject their
# value. Variables that a run does not set keep their default.

mock_provider "aws" {}

run "below_minimum" {
  command = plan

  variables {
    default_keep_days              = -1
    keep_count                     = -1
    keep_pulled_days               = -1
    archive_days                   = -1
    max_deletions                  = 0
    rescan_after_seconds           = -1
    memory_size                    = 127
    timeout                        = 119
    reserved_concurrent_executions = -1
    log_retention_days             = -1
    task_definition_revisions      = -1
    run_interval_hours             = 0
    name                           = "x"
    repository_rules               = [{ repositories = ["a"], keep_days = -1 }]
  }

  expect_failures = [
    var.default_keep_days, var.keep_count, var.keep_pulled_days, var.archive_days, var.max_deletions, var.rescan_after_seconds,
    var.memory_size, var.timeout, var.reserved_concurrent_executions, var.log_retention_days, var.name, var.repository_rules,
    var.task_definition_revisions, var.run_interval_hours,
  ]
}

run "above_maximum" {
  command = plan

  variables {
    default_keep_days         = 36501
    keep_count                = 100001
    keep_pulled_days          = 36501
    archive_days              = 36501
    max_deletions             = 1000001
    rescan_after_seconds      = 901
    memory_size               = 10241
    timeout                   = 901
    log_retention_days        = 100
    run_interval_hours        = 85
    task_definition_revisions = 101
    name                      = "a-name-of-thirty-three-characters"
    repository_rules          = [{ repositories = ["a"], keep_count = 100001 }]
  }

  expect_failures = [
    var.default_keep_days, var.keep_count, var.keep_pulled_days, var.archive_days, var.max_deletions, var.rescan_after_seconds,
    var.memory_size, var.timeout, var.log_retention_days, var.name, var.repository_rules,
    var.task_definition_revisions, var.run_interval_hours,
  ]
}

run "not_whole_numbers" {
  command = plan

  variables {
    default_keep_days              = 0.5
    keep_count                     = 1.5
    keep_pulled_days               = 0.5
    archive_days                   = 0.5
    max_deletions                  = 1.5
    rescan_after_seconds           = 0.5
    memory_size                    = 128.5
    timeout                        = 120.5
    reserved_concurrent_executions = 0.5
    task_definition_revisions      = 0.5
    run_interval_hours             = 1.5
    repository_rules               = [{ repositories = ["a"], keep_pulled_days = 0.5 }]
  }

  expect_failures = [
    var.default_keep_days, var.keep_count, var.keep_pulled_days, var.archive_days, var.max_deletions, var.rescan_after_seconds,
    var.memory_size, var.timeout, var.reserved_concurrent_executions, var.repository_rules,
    var.task_definition_revisions, var.run_interval_hours,
  ]
}

run "not_allowed_values" {
  command = plan

  variables {
    action                     = "Delete"
    architecture               = "amd64"
    container_engine           = "buildah"
    log_level                  = "warning"
    waived_sources             = ["ecs", "gke"]
    waived_guards              = ["no-usage"]
    reference_lists            = ["https://example.com/images.json"]
    alarm_topic_arns           = ["arn:aws:sqs:eu-central-1:123456789012:alarms"]
    name                       = "Ecr-Cleaner"
    schedule_timezone          = "Europe Warsaw"
    schedule_expression        = "0 0 * * *"
    image_uri                  = "public.ecr.aws/team/ecr-cleaner:1.0.0"
    kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:alias/logs"
    permissions_boundary       = "boundary"
    on_failure_destination_arn = "arn:aws:s3:::failures"
    keep_tag_patterns          = ["v*,release-*"]
    extra_build_args           = [""]
    build_environment          = { IMAGE_URI = "elsewhere" }
    vpc_security_group_ids     = ["sg-1"]
    repository_rules           = [{ repositories = [] }]
  }

  expect_failures = [
    var.action, var.architecture, var.container_engine, var.log_level, var.waived_sources, var.name, var.schedule_timezone,
    var.schedule_expression, var.image_uri, var.kms_key_arn, var.permissions_boundary, var.on_failure_destination_arn,
    var.keep_tag_patterns, var.extra_build_args, var.build_environment, var.vpc_security_group_ids, var.repository_rules,
    var.waived_guards, var.reference_lists, var.alarm_topic_arns,
  ]
}

run "incomplete_values" {
  command = plan

  variables {
    image_uri           = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/ecr-cleaner"
    vpc_subnet_ids      = ["subnet-1"]
    schedule_expression = "at(2030-01-01T00:00:00)"
    keep_tag_patterns   = [""]
    name                = "ecr-cleaner-"
  }

  expect_failures = [var.image_uri, var.vpc_security_group_ids, var.schedule_expression, var.keep_tag_patterns, var.name]
}

run "cron_with_seven_fields" {
  command = plan

  variables {
    schedule_expression = "cron(0 0 * * ? * *)"
  }

  expect_failures = [var.schedule_expression]
}

run "rule_with_misspelt_attribute" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["team-a/*"], keep_day = 365 }]
  }

  expect_failures = [var.repository_rules]
}

run "rule_without_repositories" {
  command = plan

  variables {
    repository_rules = [{ keep_days = 365 }]
  }

  expect_failures = [var.repository_rules]
}

run "rule_with_repositories_as_string" {
  command = plan

  variables {
    repository_rules = [{ repositories = "team-a/*", keep_days = 365 }]
  }

  expect_failures = [var.repository_rules]
}

run "rule_with_keep_tag_patterns_as_string" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["team-a/*"], keep_tag_patterns = "v*" }]
  }

  expect_failures = [var.repository_rules]
}

run "rule_with_a_regular_expression_as_tag_pattern" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["team-a/*"], keep_tag_patterns = ["^v[0-9]+$"] }]
  }

  expect_failures = [var.repository_rules]
}

run "rule_with_keep_days_as_text" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["team-a/*"], keep_days = "a year" }]
  }

  expect_failures = [var.repository_rules]
}

run "rules_as_object" {
  command = plan

  variables {
    repository_rules = { repositories = ["team-a/*"] }
  }

  expect_failures = [var.repository_rules]
}

run "rules_as_string" {
  command = plan

  variables {
    repository_rules = "team-a/*"
  }

  expect_failures = [var.repository_rules]
}

run "rule_with_unknown_guard" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["team-a/*"], waived_guards = ["no-usage"] }]
  }

  expect_failures = [var.repository_rules]
}

run "rule_with_waived_guards_as_string" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["team-a/*"], waived_guards = "eks-clusters" }]
  }

  expect_failures = [var.repository_rules]
}

run "reference_list_without_key" {
  command = plan

  variables {
    reference_lists = ["s3://lists/"]
  }

  expect_failures = [var.reference_lists]
}

run "reference_list_with_wildcard_in_key" {
  command = plan

  variables {
    reference_lists = ["s3://lists/*"]
  }

  expect_failures = [var.reference_lists]
}

run "reference_list_with_wildcard_in_parameter" {
  command = plan

  variables {
    reference_lists = ["ssm:/lists/*"]
  }

  expect_failures = [var.reference_lists]
}

run "reference_list_with_comma" {
  command = plan

  variables {
    reference_lists = ["s3://lists/a.json,s3://lists/b.json"]
  }

  expect_failures = [var.reference_lists]
}

run "approval_without_a_bucket_for_plans" {
  command = plan

  variables {
    approval       = true
    memory_enabled = false
  }

  expect_failures = [var.approval]
}

run "approval_topic_without_approval" {
  command = plan

  variables {
    approval_topic_arn = "arn:aws:sns:eu-central-1:123456789012:approvals"
  }

  expect_failures = [var.approval_topic_arn]
}

run "administrator_of_inspector_without_its_coverage" {
  command = plan

  variables {
    inspector_administrator = "222233334444"
  }

  expect_failures = [var.inspector_administrator]
}

run "administrator_of_inspector_that_is_not_an_account" {
  command = plan

  variables {
    inspector_coverage      = true
    inspector_administrator = "organization"
  }

  expect_failures = [var.inspector_administrator]
}

run "approval_by_a_fifo_topic" {
  command = plan

  variables {
    approval           = true
    approval_topic_arn = "arn:aws:sns:eu-central-1:123456789012:approvals.fifo"
  }

  expect_failures = [var.approval_topic_arn]
}

run "alarm_emails_with_given_topic" {
  command = plan

  variables {
    alarm_topic_arns = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
    alarm_emails     = ["team@example.com"]
  }

  expect_failures = [var.alarm_emails]
}

run "more_than_five_alarm_topics" {
  command = plan

  variables {
    alarm_topic_arns = [for number in range(6) : "arn:aws:sns:eu-central-1:123456789012:alarms-${number}"]
  }

  expect_failures = [var.alarm_topic_arns]
}

run "alarm_emails_without_alarms" {
  command = plan

  variables {
    alarms_enabled = false
    alarm_emails   = ["team@example.com"]
  }

  expect_failures = [var.alarm_emails]
}

run "alarm_email_without_at_sign" {
  command = plan

  variables {
    alarm_emails = ["team"]
  }

  expect_failures = [var.alarm_emails]
}

run "kms_alias_for_queue" {
  command = plan

  variables {
    on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/failures"
  }

  expect_failures = [var.on_failure_destination_kms_key_arn]
}

run "wildcard_in_kms_key_for_queue" {
  command = plan

  variables {
    on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/*"
  }

  expect_failures = [var.on_failure_destination_kms_key_arn]
}

run "wildcards_in_destination_and_kms_key" {
  command = plan

  variables {
    on_failure_destination_arn = "arn:aws:sqs:eu-central-1:123456789012:*"
    kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:key/?"
  }

  expect_failures = [var.on_failure_destination_arn, var.kms_key_arn]
}

run "kms_key_without_destination" {
  command = plan

  variables {
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  }

  expect_failures = [var.on_failure_destination_kms_key_arn]
}

run "kms_key_for_event_bus" {
  command = plan

  variables {
    on_failure_destination_arn         = "arn:aws:events:eu-central-1:123456789012:event-bus/failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  }

  expect_failures = [var.on_failure_destination_kms_key_arn]
}

run "filter_with_comma" {
  command = plan

  variables {
    repository_filter = ["team-a/*,team-b/*"]
  }

  expect_failures = [var.repository_filter]
}

run "filter_with_brackets_or_without_characters" {
  command = plan

  variables {
    repository_filter = ["team-[ab]/*", ""]
  }

  expect_failures = [var.repository_filter]
}

run "name_that_no_bucket_may_have" {
  command = plan

  variables {
    name = "sthree-cleaner"
  }

  expect_failures = [var.name]
}

run "proxy_without_scheme" {
  command = plan

  variables {
    https_proxy = "proxy.example.com:3128"
  }

  expect_failures = [var.https_proxy]
}

run "bad_regions_and_accounts" {
  command = plan

  variables {
    scan_regions     = ["enabled"]
    scan_accounts    = ["organization", "123456789012"]
    scan_role_name   = "/scan"
    scan_external_id = "a b"
  }

  expect_failures = [var.scan_regions, var.scan_accounts, var.scan_role_name, var.scan_external_id]
}

run "wildcards_in_regions_and_accounts" {
  command = plan

  variables {
    scan_regions     = ["eu-*"]
    scan_accounts    = ["*"]
    scan_role_name   = "ecr-cleaner-*"
    scan_external_id = "*"
  }

  expect_failures = [var.scan_regions, var.scan_accounts, var.scan_role_name, var.scan_external_id]
}
