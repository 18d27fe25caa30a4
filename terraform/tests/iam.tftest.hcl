# The document that IAM gets, statement by statement. Applied with a ready image, for nothing may be
# built here; only then are the ARNs known that the statements name.

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
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/ecr-cleaner:1.0.0"
}

run "dry_run" {
  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[*].Sid == ["WriteLogs", "ReadRepositories", "FindUsage", "DenySweepingInDryRun"]
    error_message = "A dry run writes logs, reads, and is denied everything else: ${aws_iam_role_policy.function.policy}"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement[0] == {
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/ecr-cleaner:*"
    }
    error_message = "Logs go to the function's own group and nowhere else."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement[1] == {
      Sid      = "ReadRepositories"
      Effect   = "Allow"
      Action   = jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).read
      Resource = "arn:aws:ecr:eu-central-1:123456789012:repository/*"
    }
    error_message = "Reading is limited to repositories of this account and region."
  }

  assert {
    condition = jsonencode(jsondecode(aws_iam_role_policy.function.policy).Statement[2]) == jsonencode({
      Sid      = "FindUsage"
      Effect   = "Allow"
      Action   = sort(distinct(flatten(values(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage))))
      Resource = "*"
    })
    error_message = "Every source's actions are allowed, each once."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement[3] == {
      Sid      = "DenySweepingInDryRun"
      Effect   = "Deny"
      Action   = ["ecr:BatchDeleteImage", "ecr:UpdateImageStorageClass"]
      Resource = "*"
    }
    error_message = "IAM itself denies what would remove an image."
  }
}

run "no_wildcard_action" {
  variables {
    dry_run                    = false
    archive_days               = 90
    kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    on_failure_destination_arn = "arn:aws:sqs:eu-central-1:123456789012:failures"
    vpc_subnet_ids             = ["subnet-1"]
    vpc_security_group_ids     = ["sg-1"]
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
    ] == ["FindUsage", "AttachToVpc"]
    error_message = "Only what knows no narrower resource has all of them."
  }
}

run "delete" {
  variables {
    dry_run = false
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement[3] == {
      Sid       = "SweepOptedInRepositories"
      Effect    = "Allow"
      Action    = ["ecr:BatchDeleteImage"]
      Resource  = "arn:aws:ecr:eu-central-1:123456789012:repository/*"
      Condition = { StringEquals = { "aws:ResourceTag/BoxCleanerEnabled" = "true" } }
    }
    error_message = "Only images of repositories that are opted in can be deleted."
  }

  assert {
    condition     = !contains(jsondecode(aws_iam_role_policy.function.policy).Statement[*].Effect, "Deny")
    error_message = "Nothing is denied any more."
  }
}

run "archive" {
  variables {
    dry_run = false
    action  = "archive"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[3].Action == ["ecr:UpdateImageStorageClass"]
    error_message = "Who archives cannot delete."
  }

  assert {
    condition     = output.environment.ACTION == "archive" && !contains(keys(output.environment), "ARCHIVE_DAYS")
    error_message = "Archived images stay."
  }
}

run "archive_then_delete" {
  variables {
    dry_run      = false
    action       = "archive"
    archive_days = 90
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[3].Action == ["ecr:BatchDeleteImage", "ecr:UpdateImageStorageClass"]
    error_message = "Who deletes what was archived long ago needs both."
  }

  assert {
    condition     = output.environment.ARCHIVE_DAYS == "90"
    error_message = "The program is told when."
  }
}

run "archive_in_dry_run" {
  variables {
    action       = "archive"
    archive_days = 0
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[3].Sid == "DenySweepingInDryRun"
    error_message = "A dry run is denied archiving as well."
  }
}

run "waived_source" {
  variables {
    waived_sources = ["lambda"]
  }

  assert {
    condition = jsonencode(jsondecode(aws_iam_role_policy.function.policy).Statement[2].Action) == jsonencode(sort(distinct(flatten([
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
  variables {
    waived_sources = ["lambda", "ecs", "app-runner", "ecs"]
  }

  assert {
    condition     = output.environment.WAIVED_SOURCES == "app-runner,ecs,lambda"
    error_message = "Each source is named once, in an order that does not depend on how it was written."
  }
}

run "all_sources_waived" {
  variables {
    waived_sources = keys(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage)
  }

  assert {
    condition     = !contains(jsondecode(aws_iam_role_policy.function.policy).Statement[*].Sid, "FindUsage")
    error_message = "IAM refuses a statement without actions, so there is none."
  }
}

run "schedule" {
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

run "permissions_boundary" {
  variables {
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role.function.permissions_boundary == var.permissions_boundary && aws_iam_role.schedule.permissions_boundary == var.permissions_boundary
    error_message = "The boundary holds for both roles."
  }
}

run "on_failure_queue" {
  variables {
    on_failure_destination_arn = "arn:aws:sqs:eu-central-1:123456789012:failures"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement[4] == {
      Sid      = "TellOfFailure"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = "arn:aws:sqs:eu-central-1:123456789012:failures"
    }
    error_message = "The function may write to that queue."
  }

  assert {
    condition     = one(one(aws_lambda_function_event_invoke_config.this.destination_config).on_failure).destination == var.on_failure_destination_arn
    error_message = "Failed runs go to the queue."
  }
}

run "on_failure_topic" {
  variables {
    on_failure_destination_arn = "arn:aws:sns:eu-central-1:123456789012:failures"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[4].Action == ["sns:Publish"]
    error_message = "The function may publish to that topic."
  }
}

run "kms_key" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement[4] == {
      Sid      = "ReadSettings"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = var.kms_key_arn
    }
    error_message = "The function may read its own settings."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && aws_lambda_function.this.kms_key_arn == var.kms_key_arn
    error_message = "The key encrypts log lines and settings."
  }
}

run "vpc" {
  variables {
    vpc_subnet_ids         = ["subnet-1", "subnet-2"]
    vpc_security_group_ids = ["sg-1"]
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function.policy).Statement[4].Sid == "AttachToVpc"
    error_message = "The function may make its network interfaces."
  }

  assert {
    condition     = one(aws_lambda_function.this.vpc_config).subnet_ids == toset(["subnet-1", "subnet-2"])
    error_message = "The function runs in the subnets."
  }
}
