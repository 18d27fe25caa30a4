# The statements of the IAM policies. All runs only plan: the first plan must show the whole policy, so that
# reviewers and policy checks can read it. They use an existing image, because the tests must not build one.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"

  # Monitoring does not affect the policies.
  saved_queries_enabled = false
  metrics_enabled       = false
  alarms_enabled        = false
  dashboard_enabled     = false
  # It has its own tests.
  memory_enabled = false
}

run "dry_run" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_role_policy.function[0].policy).Statement[*].Sid == ["WriteLogs", "ReadRepositories", "FindUsage", "DescribeConsumers", "FindRegionsOfServices", "CheckGuards", "DenySweepingInDryRun", "UsePullTimeExclusions", "DenyExcludingInDryRun"]
    error_message = "A dry run must be allowed to write logs and to read, and be denied removals: ${aws_iam_role_policy.function[0].policy}"
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement if statement.Sid == "WriteLogs"])) == jsonencode({
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/ecr-cleaner:*"
    })
    error_message = "The function must be able to write only to its own log group."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement if statement.Sid == "ReadRepositories"])) == jsonencode({
      Sid      = "ReadRepositories"
      Effect   = "Allow"
      Action   = sort(concat(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).read, ["ecr:GetRepositoryPolicy"]))
      Resource = "arn:aws:ecr:eu-central-1:123456789012:repository/*"
    })
    error_message = "Reading must be limited to repositories in this account and region."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement if statement.Sid == "FindUsage"])) == jsonencode({
      Sid    = "FindUsage"
      Effect = "Allow"
      Action = sort(setsubtract(
        concat(
          flatten(values(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage)),
          ["ec2:DescribeRegions", "ecr:DescribePullThroughCacheRules", "ecr:DescribeRegistry"],
        ),
        local.actions_with_resource,
      ))
      Resource = "*"
    })
    error_message = "The actions without a resource type must be allowed, each listed once, in every region."
  }

  assert {
    condition     = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement if statement.Sid == "DescribeConsumers"]).Action) == jsonencode(sort(setintersection(flatten(values(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage)), local.actions_with_resource)))
    error_message = "The actions with a resource type must be allowed, each listed once."
  }

  assert {
    condition = alltrue([
      for arn in one([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement if statement.Sid == "DescribeConsumers"]).Resource :
      can(regex("^arn:aws:[a-z-]+:\\*:123456789012:\\*$", arn))
    ])
    error_message = "The actions with a resource type must be limited to this account."
  }

  assert {
    condition = length(setsubtract(
      [
        "apprunner:DescribeService", "codebuild:BatchGetProjects", "ecs:DescribeServices", "ecs:DescribeTasks", "eks:DescribeCluster", "lambda:GetFunction",
        "pipes:DescribePipe", "sagemaker:DescribeModel", "scheduler:GetSchedule", "states:DescribeStateMachine",
      ],
      one([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement if statement.Sid == "DescribeConsumers"]).Action
    )) == 0
    error_message = "Actions that read single consumers must not be allowed for all resources."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement if statement.Sid == "CheckGuards"])) == jsonencode({
      Sid       = "CheckGuards"
      Effect    = "Allow"
      Action    = ["ecr:GetRegistryPolicy"]
      Resource  = "*"
      Condition = { StringEquals = { "aws:RequestedRegion" = "eu-central-1" } }
    })
    error_message = "The guards for the registry must be able to read, and only in this region."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement if statement.Sid == "DenySweepingInDryRun"])) == jsonencode({
      Sid      = "DenySweepingInDryRun"
      Effect   = "Deny"
      Action   = ["ecr:BatchDeleteImage", "ecr:UpdateImageStorageClass"]
      Resource = "*"
    })
    error_message = "IAM must deny all actions that remove an image."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.schedule.policy).Statement == [{
      Sid      = "StartCleaner"
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner"
    }]
    error_message = "The schedule must be able to invoke this function and nothing else."
  }

  # Who may have the role
  assert {
    condition     = jsondecode(aws_iam_role.function[0].assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    error_message = "Only functions in this account may have the role."
  }

  assert {
    condition     = aws_iam_role.function[0].force_detach_policies
    error_message = "Policies that were attached elsewhere must not prevent the deletion of the role."
  }
}

run "no_wildcard_actions" {
  command = plan

  variables {
    dry_run                            = false
    memory_enabled                     = true
    archive_days                       = 90
    kms_key_arn                        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    vpc_subnet_ids                     = ["subnet-1"]
    vpc_security_group_ids             = ["sg-1"]
    inspector_coverage                 = true
    reference_lists                    = ["s3://lists/images.json", "ssm:/lists/images"]
    scan_regions                       = ["eu-west-1", "us-east-1"]
    scan_accounts                      = ["organization"]
  }

  assert {
    condition     = length(aws_iam_role_policy.function[0].policy) <= 8533
    error_message = "The largest policy must leave a sixth of the 10240 characters of IAM for reference_lists and scan_accounts: it has ${length(aws_iam_role_policy.function[0].policy)}."
  }

  assert {
    condition = !anytrue([
      for action in flatten(concat(
        jsondecode(aws_iam_role_policy.function[0].policy).Statement[*].Action,
        jsondecode(aws_iam_role_policy.schedule.policy).Statement[*].Action,
      )) : strcontains(action, "*")
    ])
    error_message = "No action may contain a wildcard."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : statement.Sid if statement.Resource == "*"
    ] == ["FindUsage", "CheckGuards", "AttachToVpc", "DenyVpcToCode", "FindAccounts", "UsePullTimeExclusions"]
    error_message = "Only statements whose actions support no narrower resource may have the resource \"*\"."
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
      Resource  = ["arn:aws:ecr:eu-central-1:123456789012:repository/*"]
      Condition = { StringEquals = { "aws:ResourceTag/BoxCleanerEnabled" = "true" } }
    })
    error_message = "Only images in opted-in repositories may be deleted."
  }

  assert {
    condition     = !contains(local.function_statements[*].Effect, "Deny")
    error_message = "Without a dry run, no statement may deny anything."
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
    error_message = "With the action archive, the function must not be able to delete."
  }

  assert {
    condition     = output.environment.ACTION == "archive" && !contains(keys(output.environment), "ARCHIVE_DAYS")
    error_message = "ARCHIVE_DAYS must not be set, so that archived images are kept."
  }
}

run "archive_then_delete_in_some_repositories" {
  command = plan

  variables {
    dry_run           = false
    action            = "archive"
    archive_days      = 90
    repository_filter = ["team-a/*", "tools"]
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "SweepOptedInRepositories"]).Action) == jsonencode(["ecr:BatchDeleteImage", "ecr:UpdateImageStorageClass"])
    error_message = "Archiving and deleting archived images need both actions."
  }

  assert {
    condition     = output.environment.ARCHIVE_DAYS == "90"
    error_message = "The function must get ARCHIVE_DAYS."
  }

  assert {
    condition = one([for statement in local.function_statements : statement.Resource if statement.Sid == "SweepOptedInRepositories"]) == [
      "arn:aws:ecr:eu-central-1:123456789012:repository/team-a/*",
      "arn:aws:ecr:eu-central-1:123456789012:repository/tools",
    ]
    error_message = "Only repositories that match the filter may be cleaned."
  }

  assert {
    condition     = output.environment.REPOSITORY_FILTER == "team-a/*,tools"
    error_message = "The program must have the same filter."
  }
}

run "archive_in_dry_run_with_a_waived_source" {
  command = plan

  variables {
    action         = "archive"
    archive_days   = 0
    waived_sources = ["lambda"]
  }

  assert {
    condition     = contains(one([for statement in local.function_statements : statement if statement.Sid == "DenySweepingInDryRun"]).Action, "ecr:UpdateImageStorageClass")
    error_message = "A dry run must be denied archiving as well."
  }

  assert {
    condition = jsonencode(sort(setsubtract(flatten([
      for statement in local.function_statements : statement.Action if contains(["FindUsage", "DescribeConsumers"], statement.Sid)
      ]), local.target_actions))) == jsonencode(sort(distinct(flatten([
      for source, actions in jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage : actions if source != "lambda"
    ]))))
    error_message = "Only the actions of the waived source may be left out."
  }

  assert {
    condition     = output.environment.WAIVED_SOURCES == "lambda"
    error_message = "The function must get WAIVED_SOURCES."
  }
}

run "sources_waived_twice_and_a_guard_waived_for_some_repositories" {
  command = plan

  variables {
    waived_sources   = ["lambda", "ecs", "app-runner", "ecs"]
    repository_rules = [{ repositories = ["shared/*"], waived_guards = ["cross-account-pull"] }]
  }

  assert {
    condition     = output.environment.WAIVED_SOURCES == "app-runner,ecs,lambda"
    error_message = "WAIVED_SOURCES must list each source once, in alphabetical order."
  }

  assert {
    condition     = contains(one([for statement in local.function_statements : statement if statement.Sid == "CheckGuards"]).Action, "ecr:GetRegistryPolicy")
    error_message = "The permissions of the guard must stay, because it still applies to other repositories."
  }
}

run "all_sources_waived" {
  command = plan

  variables {
    waived_sources = keys(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).usage)
    waived_guards  = ["eks-clusters"]
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "FindUsage"]).Action) == jsonencode(sort(local.target_actions))
    error_message = "Only the actions that find regions and copies may be left."
  }

  assert {
    condition     = !contains(local.function_statements[*].Sid, "DescribeConsumers")
    error_message = "The statement must be left out, because IAM rejects a statement without actions."
  }
}

run "path_and_permissions_boundary" {
  command = plan

  variables {
    iam_path             = "/platform/"
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role.function[0].path == "/platform/" && aws_iam_role.schedule.path == "/platform/"
    error_message = "Both roles must have the path."
  }

  assert {
    condition     = aws_iam_role.function[0].permissions_boundary == var.permissions_boundary && aws_iam_role.schedule.permissions_boundary == var.permissions_boundary
    error_message = "Both roles must have the permissions boundary."
  }
}

run "on_failure_queue_with_kms_key" {
  command = plan

  variables {
    on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReportFailure"])) == jsonencode({
      Sid      = "ReportFailure"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = "arn:aws:sqs:eu-central-1:123456789012:failures"
    })
    error_message = "The function must be able to send to the queue."
  }

  assert {
    condition     = one(one(aws_lambda_function_event_invoke_config.this.destination_config).on_failure).destination == var.on_failure_destination_arn
    error_message = "Failed runs must be sent to the queue."
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "EncryptFailure"])) == jsonencode({
      Sid       = "EncryptFailure"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = var.on_failure_destination_kms_key_arn
      Condition = { StringLike = { "kms:ViaService" = "sqs.eu-central-1.amazonaws.com*" } }
    })
    error_message = "The function must be able to use the KMS key of the queue."
  }
}

run "topics_for_failures_and_approvals" {
  command = plan

  variables {
    on_failure_destination_arn         = "arn:aws:sns:eu-central-1:123456789012:failures"
    on_failure_destination_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    memory_enabled                     = true
    approval                           = true
    approval_topic_arn                 = "arn:aws:sns:eu-west-1:123456789012:approvals"
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReportFailure"]).Action) == jsonencode(["sns:Publish"])
    error_message = "The function must be able to publish to the topic."
  }

  assert {
    condition     = one([for statement in local.function_statements : statement if statement.Sid == "EncryptFailure"]).Resource == var.on_failure_destination_kms_key_arn
    error_message = "The function must be able to use the KMS key of the topic."
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "AskForApproval"])) == jsonencode({
      Sid      = "AskForApproval"
      Effect   = "Allow"
      Action   = ["sns:Publish"]
      Resource = "arn:aws:sns:eu-west-1:123456789012:approvals"
    })
    error_message = "The function must be able to publish to exactly this topic."
  }
}

run "kms_key_and_vpc" {
  command = plan

  variables {
    kms_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    vpc_subnet_ids         = ["subnet-1", "subnet-2"]
    vpc_security_group_ids = ["sg-1"]
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadSettings"])) == jsonencode({
      Sid       = "ReadSettings"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = var.kms_key_arn
      Condition = { StringLike = { "kms:ViaService" = "lambda.eu-central-1.amazonaws.com*" } }
    })
    error_message = "The function must be able to decrypt its environment variables."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this[0].kms_key_id == var.kms_key_arn && aws_lambda_function.this.kms_key_arn == var.kms_key_arn
    error_message = "The key must encrypt the log group and the environment variables."
  }

  assert {
    condition     = contains(local.function_statements[*].Sid, "AttachToVpc")
    error_message = "The function must be able to create its network interfaces."
  }

  assert {
    condition = [
      for statement in local.function_statements : [statement.Effect, contains(statement.Action, "ec2:DeleteNetworkInterface"), statement.Condition.ArnEquals]
      if statement.Sid == "DenyVpcToCode"
    ] == [["Deny", true, { "lambda:SourceFunctionArn" = "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner" }]]
    error_message = "The code itself must not be able to change network interfaces."
  }

  assert {
    condition     = one(aws_lambda_function.this.vpc_config).subnet_ids == toset(["subnet-1", "subnet-2"])
    error_message = "The function must run in the subnets of the variable."
  }
}

run "waived_guards" {
  command = plan

  variables {
    waived_guards  = ["cross-account-pull", "eks-clusters"]
    waived_sources = ["eks"]
  }

  assert {
    condition     = length(setintersection(flatten(local.function_statements[*].Action), ["ecr:GetRegistryPolicy", "ecr:GetRepositoryPolicy", "eks:ListClusters"])) == 0
    error_message = "Actions that only waived guards need must be left out."
  }

  assert {
    condition     = contains(flatten(local.function_statements[*].Action), "ecr:DescribeRegistry")
    error_message = "Actions that another guard needs must stay."
  }

  assert {
    condition     = output.environment.WAIVED_GUARDS == "cross-account-pull,eks-clusters"
    error_message = "The function must get WAIVED_GUARDS."
  }
}

run "all_guards_waived" {
  command = plan

  variables {
    waived_guards = ["delete-replication", "eks-clusters", "cross-account-pull"]
  }

  assert {
    condition     = !contains(local.function_statements[*].Sid, "CheckGuards")
    error_message = "The statement must be left out, because IAM rejects a statement without actions."
  }

  assert {
    condition     = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadRepositories"]).Action) == jsonencode(sort(jsondecode(file("../lambda_src/ecr_cleaner/permissions.json")).read))
    error_message = "The function must not be able to read repository policies."
  }
}

run "reference_lists_and_inspector_coverage" {
  command = plan

  variables {
    reference_lists    = ["s3://lists/cluster-a/images.json", "ssm:/lists/images", "ssm:images", "arn:aws:ssm:eu-west-1:210987654321:parameter/lists/images"]
    inspector_coverage = true
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadReferenceListsS3"])) == jsonencode({
      Sid      = "ReadReferenceListsS3"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["arn:aws:s3:::lists/cluster-a/images.json"]
    })
    error_message = "Only the objects in reference_lists may be readable."
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
    error_message = "Only the parameters in reference_lists may be readable."
  }

  assert {
    condition     = output.environment.REFERENCE_LISTS == "s3://lists/cluster-a/images.json,ssm:/lists/images,ssm:images,ssm:arn:aws:ssm:eu-west-1:210987654321:parameter/lists/images"
    error_message = "REFERENCE_LISTS must name the same lists, with the prefix ssm: before an ARN."
  }

  assert {
    condition     = contains(one([for statement in local.function_statements : statement if statement.Sid == "FindUsage"]).Action, "inspector2:ListCoverage")
    error_message = "The coverage of Inspector must be readable."
  }
}

run "too_many_reference_lists" {
  command = plan

  variables {
    reference_lists = [for number in range(100) : "s3://a-bucket-with-the-lists-of-all-clusters/cluster-${number}/images-in-use.json"]
  }

  expect_failures = [aws_iam_role_policy.function[0]]
}

run "existing_role" {
  command = plan

  variables {
    create_role = false
    role_arn    = "arn:aws:iam::123456789012:role/platform/cleaner"
  }

  assert {
    condition     = length(aws_iam_role.function) == 0 && length(aws_iam_role_policy.function) == 0 && aws_lambda_function.this.role == var.role_arn
    error_message = "The function must have the existing role."
  }

  assert {
    condition     = output.role_name == "cleaner" && output.role_arn == var.role_arn && jsondecode(output.role_policy).Statement[0].Sid == "WriteLogs"
    error_message = "The outputs must name the role and contain the permissions that it needs."
  }
}
