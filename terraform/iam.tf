locals {
  # The only list of the actions that the program calls. A test compares it with the program's code.
  permissions = jsondecode(file("${path.module}/../lambda_src/ecr_cleaner/permissions.json"))

  usage_actions = sort(distinct(flatten([
    [for source, actions in local.permissions.usage : actions if !contains(var.waived_sources, source)],
    var.inspector_coverage ? local.permissions.optional["inspector"] : [],
  ])))

  # Actions for which IAM defines a resource type, by the Service Authorization Reference. They are limited to
  # resources of this account. Actions that are not in this list are allowed for "*", so a missing entry never
  # breaks a scan. ecs:ListTasks is left out: its resource type is the container instance, which the call does not
  # name.
  actions_with_resource = jsondecode(file("${path.module}/actions_with_resource.json"))
  list_actions = [
    for action in sort(setunion(local.usage_actions, local.cluster_guard_actions, local.target_actions)) :
    action if !contains(local.actions_with_resource, action)
  ]
  describe_actions = [for action in local.usage_actions : action if contains(local.actions_with_resource, action)]
  described_arns = distinct([
    for action in local.describe_actions : "arn:${local.partition}:${split(":", action)[0]}:*:${local.account_id}:*"
  ])

  guards = keys(local.permissions.guards)
  guard_actions = sort(distinct(flatten([
    for guard in local.guards : local.permissions.guards[guard] if !contains(var.waived_guards, guard)
  ])))
  # One of these actions applies to a repository; the others apply to the registry or the account.
  repository_guard_actions = setintersection(local.guard_actions, ["ecr:GetRepositoryPolicy"])
  # The clusters are listed wherever consumers are looked for.
  cluster_guard_actions = setintersection(local.guard_actions, local.permissions.guards["eks-clusters"])
  account_guard_actions = sort(setsubtract(
    local.guard_actions, setunion(local.repository_guard_actions, local.cluster_guard_actions, local.target_actions)
  ))

  # The actions for each service, and the exact objects or parameters that hold the lists: without options after "?".
  reference_list_actions = {
    for service in ["s3", "ssm"] : service => [
      for action in local.permissions.optional["reference-lists"] : action if startswith(action, "${service}:")
    ]
  }
  reference_list_places = distinct([for list in local.reference_lists : split("?", list)[0]])
  reference_list_arns = {
    s3 = [
      for list in local.reference_list_places : "arn:${local.partition}:s3:::${trimprefix(list, "s3://")}" if startswith(list, "s3://")
    ]
    ssm = [
      for list in local.reference_list_places : startswith(list, "ssm:arn:") ? trimprefix(list, "ssm:") :
      "arn:${local.partition}:ssm:${local.region}:${local.account_id}:parameter/${trimprefix(trimprefix(list, "ssm:"), "/")}"
      if !startswith(list, "s3://")
    ]
  }

  sweep_actions = concat(
    var.action == "delete" || var.archive_days != null ? local.permissions.delete : [],
    var.action == "archive" ? local.permissions.archive : [],
  )
  all_sweep_actions = concat(local.permissions.delete, local.permissions.archive)

  repositories_arn = "arn:${local.partition}:ecr:${local.region}:${local.account_id}:repository/*"

  # The wildcards of a pattern have the same meaning in an ARN.
  swept_arns = [
    for pattern in distinct(coalescelist(var.repository_filter, ["*"])) :
    "arn:${local.partition}:ecr:${local.region}:${local.account_id}:repository/${pattern}"
  ]

  in_this_region = { StringEquals = { "aws:RequestedRegion" = local.region } }

  # The domain in kms:ViaService. In China, names with and without ".cn" match.
  via_suffix = "${trimsuffix(local.dns_suffix, ".cn")}*"

  # By the service in the ARN of the destination, which is the ARN's third part.
  destination_actions = {
    events = "events:PutEvents"
    lambda = "lambda:InvokeFunction"
    sns    = "sns:Publish"
    sqs    = "sqs:SendMessage"
  }

  vpc_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]

  # A statement that this instance does not need is null, and is left out of the policy, and so is a condition.
  function_statements = [
    for statement in [
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${local.log_group_arn}:*"
      },
      {
        Sid    = "ReadRepositories"
        Effect = "Allow"
        Action = sort(distinct(concat(local.permissions.read, tolist(local.repository_guard_actions))))
        # All repositories: the program has to read their tags to find out which ones are opted in.
        Resource = local.repositories_arn
      },
      # Without actions the statement is left out, because IAM rejects an empty list of actions.
      length(local.list_actions) > 0 ? {
        Sid    = "FindUsage"
        Effect = "Allow"
        Action = local.list_actions
        # "*": IAM defines no resource for these actions, none that the calls name, or they are not in the list above.
        Resource  = "*"
        Condition = local.in_scanned_regions
      } : null,
      length(local.describe_actions) > 0 ? {
        Sid    = "DescribeConsumers"
        Effect = "Allow"
        Action = local.describe_actions
        # All resources of these services in this account: any of them may use an image.
        Resource  = local.described_arns
        Condition = local.in_scanned_regions
      } : null,
      {
        Sid    = "FindRegionsOfServices"
        Effect = "Allow"
        Action = local.permissions.regions
        # Any region: not every region holds these public parameters of AWS.
        Resource = "arn:${local.partition}:ssm:*::parameter/aws/service/global-infrastructure/*"
      },
      length(local.account_guard_actions) > 0 ? {
        Sid    = "CheckGuards"
        Effect = "Allow"
        Action = local.account_guard_actions
        # "*": IAM defines no resource for the ECR registry.
        Resource  = "*"
        Condition = local.in_this_region
      } : null,
      length(local.reference_list_arns.s3) > 0 ? {
        Sid      = "ReadReferenceListsS3"
        Effect   = "Allow"
        Action   = local.reference_list_actions.s3
        Resource = local.reference_list_arns.s3
      } : null,
      length(local.reference_list_arns.ssm) > 0 ? {
        Sid      = "ReadReferenceListsSSM"
        Effect   = "Allow"
        Action   = local.reference_list_actions.ssm
        Resource = local.reference_list_arns.ssm
      } : null,
      local.cluster_documents_statement,
      local.list_cluster_documents_statement,
      var.dry_run ? {
        Sid    = "DenySweepingInDryRun"
        Effect = "Deny"
        Action = local.all_sweep_actions
        # "*": a dry run must not remove any image, even if another policy allows it.
        Resource = "*"
      } : null,
      !var.dry_run ? {
        Sid      = "SweepOptedInRepositories"
        Effect   = "Allow"
        Action   = local.sweep_actions
        Resource = local.swept_arns
        Condition = {
          StringEquals = { "aws:ResourceTag/BoxCleanerEnabled" = "true" }
        }
      } : null,
      var.kms_key_arn != null ? {
        Sid      = "ReadSettings"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = var.kms_key_arn
        # Lambda decrypts the environment variables.
        Condition = { StringLike = { "kms:ViaService" = "lambda.${local.region}.${local.via_suffix}" } }
      } : null,
      var.approval_topic_arn != null ? {
        Sid      = "AskForApproval"
        Effect   = "Allow"
        Action   = local.permissions.approval
        Resource = var.approval_topic_arn
      } : null,
      var.on_failure_destination_arn != null ? {
        Sid      = "ReportFailure"
        Effect   = "Allow"
        Action   = [local.destination_actions[split(":", var.on_failure_destination_arn)[2]]]
        Resource = var.on_failure_destination_arn
      } : null,
      var.on_failure_destination_kms_key_arn != null ? {
        Sid    = "EncryptFailure"
        Effect = "Allow"
        # Both actions are needed to write: SQS and SNS request a data key and verify it by decrypting it.
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = var.on_failure_destination_kms_key_arn
        Condition = {
          StringLike = { "kms:ViaService" = "${split(":", var.on_failure_destination_arn)[2]}.${local.region}.${local.via_suffix}" }
        }
      } : null,
      length(var.vpc_subnet_ids) > 0 ? {
        Sid    = "AttachToVpc"
        Effect = "Allow"
        Action = local.vpc_actions
        # "*": Lambda creates the network interfaces and checks these actions without a resource.
        Resource = "*"
      } : null,
      length(var.vpc_subnet_ids) > 0 ? {
        Sid      = "DenyVpcToCode"
        Effect   = "Deny"
        Action   = local.vpc_actions
        Resource = "*"
        # Calls of the code have this key; calls of Lambda, which needs the actions, do not.
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arn } }
      } : null,
    ] : { for key, value in statement : key => value if value != null } if statement != null
  ]
}

locals {
  function_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.function_statements, local.target_statements, local.memory_statements, local.pull_times_statements)
  })

  role_arn  = var.create_role ? aws_iam_role.function[0].arn : var.role_arn
  role_name = var.create_role ? aws_iam_role.function[0].name : regex("[^/]+$", coalesce(var.role_arn, "none"))
}

# IAM is global. The region in the names keeps instances in different regions apart.
resource "aws_iam_role" "function" {
  count = var.create_role ? 1 : 0

  name                 = "${var.name}-${local.region}"
  path                 = var.iam_path
  description          = "Lets the function ${var.name} find and clean images in ECR."
  permissions_boundary = var.permissions_boundary
  # Policies that were attached outside Terraform do not prevent its deletion.
  force_detach_policies = true

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
      # Only functions in this account may have the role.
      Condition = local.in_this_account_only
    }]
  })

  tags = var.tags

  lifecycle {
    ignore_changes       = [name]
    replace_triggered_by = [terraform_data.name]

    postcondition {
      condition     = self.name == "${var.name}-${local.region}"
      error_message = "The role is \"${self.name}\", so this instance was created in another region than ${local.region}. Destroy it with the region that it was created in first, or use another instance of the module for ${local.region}."
    }
  }
}

resource "aws_iam_role_policy" "function" {
  count = var.create_role ? 1 : 0

  name = "cleaner"
  role = aws_iam_role.function[0].id

  policy = local.function_policy

  lifecycle {
    precondition {
      condition     = length(local.function_policy) <= 10240
      error_message = "The policy of the function has ${length(local.function_policy)} characters, but IAM allows at most 10240 in a role. Use fewer reference_lists, name fewer accounts in scan_accounts or set it to [\"organization\"], or waive usage sources that no account uses."
    }
  }
}
