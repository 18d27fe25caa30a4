# The document that IAM gets, statement by statement. The first runs are applied, with a ready image,
# for nothing may be built here: only then is the document known as a whole.

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

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/ecr-cleaner" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/ecr-cleaner-eu-central-1" }
  }

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner" }
  }
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"

  # What operators see takes no part in this.
  saved_queries_enabled = false
  metrics_enabled       = false
  alarms_enabled        = false
  dashboard_enabled     = false
}

run "dry_run" {
  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[*].Sid == ["WriteLogs", "ReadRepositories", "FindUsage", "CheckGuards", "DenySweepingInDryRun"]
    error_message = "A dry run writes logs, reads, and is denied everything else: ${aws_iam_role_policy.function.policy}"
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement if statement.Sid == "WriteLogs"])) == jsonencode({
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/ecr-cleaner:*"
    })
    error_message = "Logs go to the function's own group and nowhere else."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement if statement.Sid == "ReadRepositories"])) == jsonencode({
      Sid      = "ReadRepositories"
      Effect   = "Allow"
      Action   = sort(concat(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).read, ["ecr:GetRepositoryPolicy"]))
      Resource = "arn:aws:ecr:eu-central-1:123456789012:repository/*"
    })
    error_message = "Reading is limited to repositories of this account and region."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement if statement.Sid == "FindUsage"])) == jsonencode({
      Sid       = "FindUsage"
      Effect    = "Allow"
      Action    = sort(distinct(flatten(values(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage))))
      Resource  = "*"
      Condition = { StringEquals = { "aws:RequestedRegion" = "eu-central-1" } }
    })
    error_message = "Every source's actions are allowed, each once, in this region."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement if statement.Sid == "CheckGuards"])) == jsonencode({
      Sid       = "CheckGuards"
      Effect    = "Allow"
      Action    = ["ecr:DescribeRegistry", "ecr:GetRegistryPolicy", "eks:ListClusters"]
      Resource  = "*"
      Condition = { StringEquals = { "aws:RequestedRegion" = "eu-central-1" } }
    })
    error_message = "The guards that stand before a whole registry can be read."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement if statement.Sid == "DenySweepingInDryRun"])) == jsonencode({
      Sid      = "DenySweepingInDryRun"
      Effect   = "Deny"
      Action   = ["ecr:BatchDeleteImage", "ecr:UpdateImageStorageClass"]
      Resource = "*"
    })
    error_message = "IAM itself denies what would remove an image."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.schedule.policy).Statement == [{
      Sid      = "StartCleaner"
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner"
    }]
    error_message = "The schedule may start this function and do nothing else."
  }
}

run "no_wildcard_action" {
  variables {
    dry_run                            = false
    archive_days                       = 90
    kms_key_arn                        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    vpc_subnet_ids                     = ["subnet-1"]
    vpc_security_group_ids             = ["sg-1"]
    inspector_coverage                 = true
    reference_lists                    = ["s3://lists/images.json", "ssm:/lists/images"]
  }

  assert {
    condition = !anytrue([
      for action in flatten(concat(
        jsondecode(aws_iam_role_policy.function.policy).Statement[*].Action,
        jsondecode(aws_iam_role_policy.schedule.policy).Statement[*].Action,
      )) : strcontains(action, "*")
    ])
    error_message = "No statement allows more than it names."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement.Sid if statement.Resource == "*"
    ] == ["FindUsage", "CheckGuards", "ReadInspectorCoverage", "AttachToVpc"]
    error_message = "Only what knows no narrower resource has all of them."
  }
}

run "delete" {
  command = plan

  variables {
    dry_run = false
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "SweepOptedInRepositories"])) == jsonencode({
      Sid       = "SweepOptedInRepositories"
      Effect    = "Allow"
      Action    = ["ecr:BatchDeleteImage"]
      Resource  = "arn:aws:ecr:eu-central-1:123456789012:repository/*"
      Condition = { StringEquals = { "aws:ResourceTag/BoxCleanerEnabled" = "true" } }
    })
    error_message = "Only images of repositories that are opted in can be deleted."
  }

  assert {
    condition     = !contains(local.function_statements[*].Effect, "Deny")
    error_message = "Nothing is denied any more."
  }
}

run "archive" {
  command = plan

  variables {
    dry_run = false
    action  = "archive"
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "SweepOptedInRepositories"]).Action) == jsonencode(["ecr:UpdateImageStorageClass"])
    error_message = "Who archives cannot delete."
  }

  assert {
    condition     = output.environment.ACTION == "archive" && !contains(keys(output.environment), "ARCHIVE_DAYS")
    error_message = "Archived images stay."
  }
}

run "archive_then_delete" {
  command = plan

  variables {
    dry_run      = false
    action       = "archive"
    archive_days = 90
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "SweepOptedInRepositories"]).Action) == jsonencode(["ecr:BatchDeleteImage", "ecr:UpdateImageStorageClass"])
    error_message = "Who deletes what was archived long ago needs both."
  }

  assert {
    condition     = output.environment.ARCHIVE_DAYS == "90"
    error_message = "The program is told when."
  }
}

run "archive_in_dry_run" {
  command = plan

  variables {
    action       = "archive"
    archive_days = 0
  }

  assert {
    condition     = contains(one([for statement in local.function_statements : statement if statement.Sid == "DenySweepingInDryRun"]).Action, "ecr:UpdateImageStorageClass")
    error_message = "A dry run is denied archiving as well."
  }
}

run "waived_source" {
  command = plan

  variables {
    waived_sources = ["lambda"]
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "FindUsage"]).Action) == jsonencode(sort(distinct(flatten([
      for source, actions in jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage : actions if source != "lambda"
    ]))))
    error_message = "A waived source's actions are left out, and no others."
  }

  assert {
    condition     = output.environment.WAIVED_SOURCES == "lambda"
    error_message = "The program is told of it."
  }
}

run "waived_sources_named_twice" {
  command = plan

  variables {
    waived_sources = ["lambda", "ecs", "app-runner", "ecs"]
  }

  assert {
    condition     = output.environment.WAIVED_SOURCES == "app-runner,ecs,lambda"
    error_message = "Each source is named once, in an order that does not depend on how it was written."
  }
}

run "all_sources_waived" {
  command = plan

  variables {
    waived_sources = keys(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage)
  }

  assert {
    condition     = !contains(local.function_statements[*].Sid, "FindUsage")
    error_message = "IAM refuses a statement without actions, so there is none."
  }
}

run "permissions_boundary" {
  command = plan

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role.function.permissions_boundary == var.permissions_boundary && aws_iam_role.schedule.permissions_boundary == var.permissions_boundary
    error_message = "The boundary holds for both roles."
  }
}

run "on_failure_queue" {
  command = plan

  variables {
    on_failure_destination_arn = "arn:aws:sqs:eu-central-1:123456789012:failures"
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "TellOfFailure"])) == jsonencode({
      Sid      = "TellOfFailure"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = "arn:aws:sqs:eu-central-1:123456789012:failures"
    })
    error_message = "The function may write to that queue."
  }

  assert {
    condition     = one(one(aws_lambda_function_event_invoke_config.this.destination_config).on_failure).destination == var.on_failure_destination_arn
    error_message = "Failed runs go to the queue."
  }
}

run "on_failure_topic" {
  command = plan

  variables {
    on_failure_destination_arn = "arn:aws:sns:eu-central-1:123456789012:failures"
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "TellOfFailure"]).Action) == jsonencode(["sns:Publish"])
    error_message = "The function may publish to that topic."
  }
}

run "on_failure_queue_of_a_key" {
  command = plan

  variables {
    on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "EncryptFailure"])) == jsonencode({
      Sid      = "EncryptFailure"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = var.on_failure_destination_kms_key_arn
    })
    error_message = "The function may use the key of the queue to write to it."
  }
}

run "on_failure_topic_of_a_key" {
  command = plan

  variables {
    on_failure_destination_arn         = "arn:aws:sns:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  }

  assert {
    condition     = one([for statement in local.function_statements : statement if statement.Sid == "EncryptFailure"]).Resource == var.on_failure_destination_kms_key_arn
    error_message = "And so for a topic."
  }
}

run "kms_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadSettings"])) == jsonencode({
      Sid      = "ReadSettings"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = var.kms_key_arn
    })
    error_message = "The function may read its own settings."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && aws_lambda_function.this.kms_key_arn == var.kms_key_arn
    error_message = "The key encrypts log lines and settings."
  }
}

run "vpc" {
  command = plan

  variables {
    vpc_subnet_ids         = ["subnet-1", "subnet-2"]
    vpc_security_group_ids = ["sg-1"]
  }

  assert {
    condition     = contains(local.function_statements[*].Sid, "AttachToVpc")
    error_message = "The function may make its network interfaces."
  }

  assert {
    condition     = one(aws_lambda_function.this.vpc_config).subnet_ids == toset(["subnet-1", "subnet-2"])
    error_message = "The function runs in the subnets."
  }
}

run "waived_guards" {
  command = plan

  variables {
    waived_guards = ["delete-replication", "eks-clusters"]
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "CheckGuards"]).Action) == jsonencode(["ecr:GetRegistryPolicy"])
    error_message = "What only waived guards read is left out,"
  }

  assert {
    condition     = contains(one([for statement in local.function_statements : statement if statement.Sid == "ReadRepositories"]).Action, "ecr:GetRepositoryPolicy")
    error_message = "what the other reads is not,"
  }

  assert {
    condition     = output.environment.WAIVED_GUARDS == "delete-replication,eks-clusters"
    error_message = "and the program is told."
  }
}

run "all_guards_waived" {
  command = plan

  variables {
    waived_guards = ["delete-replication", "eks-clusters", "cross-account-pull"]
  }

  assert {
    condition     = !contains(local.function_statements[*].Sid, "CheckGuards")
    error_message = "IAM refuses a statement without actions, so there is none,"
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadRepositories"]).Action) == jsonencode(sort(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).read))
    error_message = "and repositories' policies are not read."
  }
}

run "guard_waived_for_some_repositories" {
  command = plan

  variables {
    repository_rules = [{ repositories = ["shared/*"], waived_guards = ["cross-account-pull"] }]
  }

  assert {
    condition     = contains(one([for statement in local.function_statements : statement if statement.Sid == "CheckGuards"]).Action, "ecr:GetRegistryPolicy")
    error_message = "The other repositories are still guarded."
  }
}

run "reference_lists" {
  command = plan

  variables {
    reference_lists = ["s3://lists/cluster-a/images.json", "ssm:/lists/images", "ssm:images", "arn:aws:ssm:eu-west-1:210987654321:parameter/lists/images"]
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadReferenceListsS3"])) == jsonencode({
      Sid      = "ReadReferenceListsS3"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["arn:aws:s3:::lists/cluster-a/images.json"]
    })
    error_message = "The objects that are lists can be read, and no others."
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadReferenceListsSSM"])) == jsonencode({
      Sid    = "ReadReferenceListsSSM"
      Effect = "Allow"
      Action = ["ssm:GetParameter"]
      Resource = [
        "arn:aws:ssm:eu-central-1:123456789012:parameter/lists/images",
        "arn:aws:ssm:eu-central-1:123456789012:parameter/images",
        "arn:aws:ssm:eu-west-1:210987654321:parameter/lists/images",
      ]
    })
    error_message = "The parameters that are lists can be read, and no others."
  }

  assert {
    condition     = output.environment.REFERENCE_LISTS == "s3://lists/cluster-a/images.json,ssm:/lists/images,ssm:images,ssm:arn:aws:ssm:eu-west-1:210987654321:parameter/lists/images"
    error_message = "The program reads the same, and is told that an ARN is that of a parameter."
  }
}

run "inspector_coverage" {
  command = plan

  variables {
    inspector_coverage = true
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadInspectorCoverage"]).Action) == jsonencode(["inspector2:ListCoverage"])
    error_message = "What Inspector covers can be read."
  }
}
