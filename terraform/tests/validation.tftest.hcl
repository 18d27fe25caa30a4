# Values that the variables reject. Terraform demands that each variable in expect_failures rejects its
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
    max_scan_age_minutes           = 0
    cluster_document_minutes       = 0
    name                           = "x"
    repository_rules               = [{ repositories = ["a"], keep_days = -1 }]
  }

  expect_failures = [
    var.default_keep_days, var.keep_count, var.keep_pulled_days, var.archive_days, var.max_deletions, var.rescan_after_seconds,
    var.memory_size, var.timeout, var.reserved_concurrent_executions, var.log_retention_days, var.task_definition_revisions,
    var.run_interval_hours, var.max_scan_age_minutes, var.cluster_document_minutes, var.name, var.repository_rules,
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

    # More topics than CloudWatch allows for an alarm.
    alarm_topic_arns = [for number in range(6) : "arn:aws:sns:eu-central-1:123456789012:alarms-${number}"]
  }

  expect_failures = [
    var.default_keep_days, var.keep_count, var.keep_pulled_days, var.archive_days, var.max_deletions, var.rescan_after_seconds,
    var.memory_size, var.timeout, var.log_retention_days, var.run_interval_hours, var.task_definition_revisions, var.name,
    var.repository_rules, var.alarm_topic_arns,
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
    price_per_gb_month             = 0.0000001 # more decimals than the program takes
    repository_rules               = [{ repositories = ["a"], keep_pulled_days = 0.5 }]
  }

  expect_failures = [
    var.default_keep_days, var.keep_count, var.keep_pulled_days, var.archive_days, var.max_deletions, var.rescan_after_seconds,
    var.memory_size, var.timeout, var.reserved_concurrent_executions, var.task_definition_revisions, var.run_interval_hours,
    var.price_per_gb_month, var.repository_rules,
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
    eks_clusters               = ["arn:aws:eks:eu-central-1:123456789012:cluster/prod"]
    waived_api_groups          = ["apps"]
    cluster_documents          = ["s3://bucket/key"]
  }

  expect_failures = [
    var.action, var.architecture, var.container_engine, var.log_level, var.waived_sources, var.waived_guards, var.reference_lists,
    var.alarm_topic_arns, var.name, var.schedule_timezone, var.schedule_expression, var.image_uri, var.kms_key_arn,
    var.permissions_boundary, var.on_failure_destination_arn, var.keep_tag_patterns, var.extra_build_args, var.build_environment,
    var.vpc_security_group_ids, var.repository_rules, var.eks_clusters, var.waived_api_groups, var.cluster_documents,
  ]
}

run "other_not_allowed_values" {
  command = plan

  variables {
    build_with          = "docker"
    scan_regions        = ["enabled"]
    scan_accounts       = ["organization", "123456789012"]
    scan_role_name      = "/scan"
    scan_external_id    = "a b"
    repository_filter   = ["team-[ab]/*", ""]
    schedule_expression = "cron(0 0 * * ? * *)" # seven fields
    name                = "sthree-cleaner"      # no bucket may have it
    repository_rules    = [{ repositories = ["team-a/*"], waived_guards = ["no-usage"] }]

    # A FIFO topic.
    approval           = true
    approval_topic_arn = "arn:aws:sns:eu-central-1:123456789012:approvals.fifo"

    # Not an account.
    inspector_coverage      = true
    inspector_administrator = "organization"

    # An alias.
    on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/failures"
  }

  expect_failures = [
    var.build_with, var.scan_regions, var.scan_accounts, var.scan_role_name, var.scan_external_id, var.repository_filter,
    var.schedule_expression, var.name, var.repository_rules, var.approval_topic_arn, var.inspector_administrator,
    var.on_failure_destination_kms_key_arn,
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
    reference_lists     = ["s3://lists/"]
    alarm_emails        = ["team"]
    https_proxy         = "proxy.example.com:3128"
    repository_rules    = [{ keep_days = 365 }]
  }

  expect_failures = [
    var.image_uri, var.vpc_security_group_ids, var.schedule_expression, var.keep_tag_patterns, var.name, var.reference_lists,
    var.alarm_emails, var.https_proxy, var.repository_rules,
  ]
}

run "lists_with_commas" {
  command = plan

  variables {
    repository_filter = ["team-a/*,team-b/*"]
    reference_lists   = ["s3://lists/a.json,s3://lists/b.json"]
    waived_clusters   = ["a,b"]
    repository_rules  = [{ repositories = ["team-a/*"], keep_tag_patterns = ["v*,release-*"] }]
  }

  expect_failures = [var.repository_filter, var.reference_lists, var.waived_clusters, var.repository_rules]
}

run "wildcards" {
  command = plan

  variables {
    scan_regions               = ["eu-*"]
    scan_accounts              = ["*"]
    scan_role_name             = "ecr-cleaner-*"
    scan_external_id           = "*"
    reference_lists            = ["s3://lists/*"]
    on_failure_destination_arn = "arn:aws:sqs:eu-central-1:123456789012:*"
    kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:key/?"
  }

  expect_failures = [
    var.scan_regions, var.scan_accounts, var.scan_role_name, var.scan_external_id, var.reference_lists,
    var.on_failure_destination_arn, var.kms_key_arn,
  ]
}

run "wildcards_in_parameter_and_kms_key_for_queue" {
  command = plan

  variables {
    reference_lists = ["ssm:/lists/*"]

    on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/*"
  }

  expect_failures = [var.reference_lists, var.on_failure_destination_kms_key_arn]
}

run "settings_without_the_one_that_they_need" {
  command = plan

  variables {
    # A bucket for plans.
    approval       = true
    memory_enabled = false

    # The coverage of Inspector.
    inspector_administrator = "222233334444"

    # A topic of the module.
    alarms_enabled = false
    alarm_emails   = ["team@example.com"]

    # A destination.
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"

    # An image.
    build_image = false
  }

  expect_failures = [
    var.approval, var.inspector_administrator, var.alarm_emails, var.on_failure_destination_kms_key_arn, var.build_image,
  ]
}

run "settings_that_contradict_each_other" {
  command = plan

  variables {
    # Without approval, nobody is asked for it.
    approval_topic_arn = "arn:aws:sns:eu-central-1:123456789012:approvals"

    # With given topics, the module creates none to subscribe to.
    alarm_topic_arns = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
    alarm_emails     = ["team@example.com"]

    # The key policy allows an event bus to use a key.
    on_failure_destination_arn         = "arn:aws:events:eu-central-1:123456789012:event-bus/failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"

    # With an image, none is built.
    build_image = true
    image_uri   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"

    # The environment is that of a local build.
    build_with        = "codebuild"
    build_environment = { AWS_PROFILE = "deployment" }

    # With a role, none is created.
    role_arn = "arn:aws:iam::123456789012:role/platform/cleaner"

    # Such a log group has no metrics.
    log_group_class = "INFREQUENT_ACCESS"
  }

  expect_failures = [
    var.approval_topic_arn, var.alarm_emails, var.on_failure_destination_kms_key_arn, var.build_image, var.build_with,
    var.create_role, var.log_group_class,
  ]
}

run "rule_with_misspelt_attribute" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["team-a/*"], keep_day = 365 }]
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

run "rule_with_waived_guards_as_string" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["team-a/*"], waived_guards = "eks-clusters" }]
  }

  expect_failures = [var.repository_rules]
}
