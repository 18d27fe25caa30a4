data "aws_caller_identity" "current" {}

# The region and partition of the provider. Not aws_region: in version 5 of the provider it has the
# region only in "name", which version 6 deprecates.
data "aws_service" "ecr" {
  service_id = "ecr"
}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_service.ecr.partition
  region     = data.aws_service.ecr.region
  dns_suffix = trimprefix(data.aws_service.ecr.dns_name, "ecr.${local.region}.")

  # For trust policies of services: only what is in this account may use the role.
  in_this_account_only = { StringEquals = { "aws:SourceAccount" = local.account_id } }

  # Built from known parts instead of read from the resources, so that the first plan shows complete policies.
  function_arn     = "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${var.name}"
  log_group_arn    = "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:${local.default_log_group_name}"
  alarm_arn_prefix = "arn:${local.partition}:cloudwatch:${local.region}:${local.account_id}:alarm:"

  # The program accepts no number that is written as a string, so convert the types.
  repository_rules = [
    for rule in var.repository_rules : merge(
      { repositories = [for pattern in rule.repositories : tostring(pattern)] },
      { for key in ["keep_days", "keep_count", "keep_pulled_days", "untagged_keep_days", "keep_used_days"] : key => tonumber(rule[key]) if try(rule[key], null) != null },
      { for key in ["keep_tag_patterns", "waived_guards"] : key => [for entry in rule[key] : tostring(entry)] if try(rule[key], null) != null },
    )
  ]

  # The program reads the ARN of a parameter after the prefix "ssm:", like a name.
  reference_lists = distinct([for list in var.reference_lists : startswith(list, "arn:") ? "ssm:${list}" : list])

  # Null: the environment variable is not set, and the program uses its default.
  settings = {
    DRY_RUN              = tostring(var.dry_run)
    DEFAULT_KEEP_DAYS    = tostring(var.default_keep_days)
    LOG_LEVEL            = var.log_level
    MIN_KEEP_DAYS        = tostring(var.min_keep_days)
    KEEP_COUNT           = tostring(var.keep_count)
    KEEP_TAG_PATTERNS    = length(var.keep_tag_patterns) == 0 ? null : join(",", var.keep_tag_patterns)
    KEEP_PULLED_DAYS     = tostring(var.keep_pulled_days)
    UNTAGGED_KEEP_DAYS   = tostring(var.untagged_keep_days)
    KEEP_USED_DAYS       = tostring(var.keep_used_days)
    REPOSITORY_FILTER    = length(var.repository_filter) == 0 ? null : join(",", distinct(var.repository_filter))
    REPOSITORY_RULES     = length(local.repository_rules) == 0 ? null : jsonencode(local.repository_rules)
    ACTION               = var.action
    ARCHIVE_DAYS         = tostring(var.archive_days)
    MAX_DELETIONS        = tostring(var.max_deletions)
    EXPECT_NO_USAGE      = tostring(var.expect_no_usage)
    RESCAN_AFTER_SECONDS = tostring(var.rescan_after_seconds)
    WAIVED_SOURCES       = length(var.waived_sources) == 0 ? null : join(",", sort(distinct(var.waived_sources)))
    WAIVED_GUARDS        = length(var.waived_guards) == 0 ? null : join(",", sort(distinct(var.waived_guards)))

    TASK_DEFINITION_REVISIONS = tostring(var.task_definition_revisions)
    REFERENCE_LISTS           = length(local.reference_lists) == 0 ? null : join(",", local.reference_lists)
    INSPECTOR_COVERAGE        = tostring(var.inspector_coverage)
    INSPECTOR_ADMINISTRATOR   = var.inspector_administrator
    LEDGER                    = var.memory_enabled ? "s3://${local.memory_bucket}/${local.memory_key}" : null
    PLANS                     = var.memory_enabled ? local.plans_url : null
    RUNS                      = var.fan_out ? "s3://${local.memory_bucket}/${local.runs_prefix}" : null
    MAX_SCAN_AGE_MINUTES      = var.fan_out ? tostring(var.max_scan_age_minutes) : null
    PRICE_PER_GB_MONTH        = tostring(var.price_per_gb_month)
    PLAN_MAX_AGE_DAYS         = tostring(var.plan_max_age_days)
    APPROVAL                  = tostring(var.approval)
    APPROVAL_TOPIC_ARN        = var.approval_topic_arn
    EVENT_QUEUE               = local.events_enabled ? local.event_queue_url : null
    REGISTER_PULL_EXCLUSION   = tostring(local.register_pull_exclusion)

    REFERENCE_LISTS_MAX_AGE_DAYS = tostring(var.reference_lists_max_age_days)
    WAIVED_CLUSTERS              = length(var.waived_clusters) == 0 ? null : join(",", sort(distinct(var.waived_clusters)))
    WAIVED_API_GROUPS            = length(var.waived_api_groups) == 0 ? null : join(",", sort(distinct(var.waived_api_groups)))
    CLUSTER_DOCUMENTS            = length(var.cluster_documents) == 0 ? null : join(",", distinct(var.cluster_documents))
    CLUSTER_DOCUMENT_MINUTES     = tostring(var.cluster_document_minutes)

    SCAN_REGIONS     = length(var.scan_regions) == 0 ? null : join(",", sort(distinct(var.scan_regions)))
    SCAN_ACCOUNTS    = length(var.scan_accounts) == 0 ? null : join(",", sort(distinct(var.scan_accounts)))
    SCAN_ROLE_NAME   = length(local.other_accounts) == 0 ? null : var.scan_role_name
    SCAN_EXTERNAL_ID = length(local.other_accounts) == 0 ? null : var.scan_external_id

    # Not of the program itself: the SDK reads them as well.
    HTTPS_PROXY = var.https_proxy
    NO_PROXY    = length(var.no_proxy) == 0 ? null : join(",", var.no_proxy)
  }
  environment = { for name, value in local.settings : name => value if value != null }
}

# The names of the IAM roles and the dashboard contain the region. If the module has depends_on and a dependency
# changes, Terraform reads the region only during the apply, and an unknown name would replace them. So they
# ignore changes of their name, and this replaces them if var.name changes.
resource "terraform_data" "name" {
  input = var.name
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:A run is a single function that calls AWS, and its log has more detail than a trace.
  #checkov:skip=CKV_AWS_116:on_failure_destination_arn receives failed runs with their error, which a dead-letter queue does not.
  #checkov:skip=CKV_AWS_272:Lambda does not support code signing for container images.

  function_name = var.name
  description   = "Removes old, unused images from ECR repositories tagged BoxCleanerEnabled = true${var.dry_run ? " (dry run: only reports)" : ""}."
  role          = local.role_arn

  package_type  = "Image"
  image_uri     = local.image_uri
  architectures = [var.architecture]
  memory_size   = var.memory_size
  timeout       = var.timeout
  kms_key_arn   = var.kms_key_arn

  reserved_concurrent_executions = var.reserved_concurrent_executions

  environment {
    variables = local.environment
  }

  logging_config {
    log_format = "JSON"
    log_group  = local.log_group_name
    # LOG_LEVEL already filters in the program. Lambda must not filter above INFO, because it treats
    # levels that it does not know, such as Python's "warning", as INFO.
    application_log_level = var.log_level == "DEBUG" ? "DEBUG" : "INFO"
    system_log_level      = "INFO"
  }

  dynamic "vpc_config" {
    for_each = length(var.vpc_subnet_ids) == 0 ? [] : [true]

    content {
      subnet_ids         = var.vpc_subnet_ids
      security_group_ids = var.vpc_security_group_ids
    }
  }

  tags = var.tags

  # Lambda needs the image and the permissions of the role when the function is created. The bucket and the queue
  # are only named in the settings, and the first run needs them.
  depends_on = [
    terraform_data.image,
    aws_lambda_invocation.build,
    aws_ecr_repository_policy.this,
    aws_iam_role_policy.function,
    aws_s3_bucket_public_access_block.memory,
    aws_s3_bucket_policy.memory,
    aws_s3_bucket_versioning.memory,
    aws_sqs_queue.events,
  ]

  lifecycle {
    precondition {
      condition     = length(jsonencode(local.environment)) <= 4096
      error_message = "The environment variables of the function have ${length(jsonencode(local.environment))} bytes, but Lambda allows at most 4096. Use fewer repository_rules, for example with broader patterns, or name fewer accounts in scan_accounts or set it to [\"organization\"]."
    }

    precondition {
      condition     = !local.image_is_own
      error_message = "image_uri is \"${var.image_uri == null ? "null" : var.image_uri}\", an image in \"${local.repository_name}\", the repository that the module creates for its own image. The module destroys this repository and all its images once image_uri is set. Push the image to a repository of your own with another name first, and set image_uri to that image."
    }

    precondition {
      condition     = try(local.given_repository[1], local.region) == local.region
      error_message = "image_uri is \"${var.image_uri == null ? "null" : var.image_uri}\", an image in ${try(local.given_repository[1], "")}, but Lambda runs only images of its own region, ${local.region}. Copy the image to a repository in ${local.region}, and set image_uri to the copy."
    }

    precondition {
      condition     = try(contains(concat([local.account_id], var.image_account_ids), local.given_repository[0]), true)
      error_message = "image_uri is \"${var.image_uri == null ? "null" : var.image_uri}\", an image in account ${try(local.given_repository[0], "")}, but the function is in account ${local.account_id}. If this is intended and the repository lets Lambda of this account pull, add the account to image_account_ids."
    }
  }
}

resource "aws_lambda_function_event_invoke_config" "this" {
  function_name = aws_lambda_function.this.function_name

  # The cause of a failure is usually still present a minute later, and the next run starts from the beginning.
  maximum_retry_attempts = 0

  dynamic "destination_config" {
    for_each = var.on_failure_destination_arn == null ? [] : [var.on_failure_destination_arn]

    content {
      on_failure {
        destination = destination_config.value
      }
    }
  }

  # Lambda checks that the role may send to the destination.
  depends_on = [aws_iam_role_policy.function]
}
