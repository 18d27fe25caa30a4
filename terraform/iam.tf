locals {
  # The only list of the actions that the program calls. A test compares it with the program's code.
  permissions = jsondecode(file("${path.module}/../lambda_src/ecr_cleaner/permissions.json"))

  usage_actions = sort(distinct(flatten([
    for source, actions in local.permissions.usage : setsubtract(actions, local.cluster_actions) if !contains(var.waived_sources, source)
  ])))

  guards = keys(try(local.permissions.guards, {}))
  guard_actions = sort(distinct(flatten([
    for guard in local.guards : local.permissions.guards[guard] if !contains(var.waived_guards, guard)
  ])))
  # One of these actions applies to a repository; the others apply to the registry or the account.
  repository_guard_actions = setintersection(local.guard_actions, ["ecr:GetRepositoryPolicy"])
  account_guard_actions    = sort(setsubtract(local.guard_actions, local.repository_guard_actions))

  inspector_actions = var.inspector_coverage ? try(local.permissions.optional["inspector"], []) : []

  # The actions and the exact objects or parameters that hold the lists, by service.
  reference_list_actions = {
    for service in ["s3", "ssm"] : service => [
      for action in try(local.permissions.optional["reference-lists"], []) : action if startswith(action, "${service}:")
    ]
  }
  reference_list_arns = {
    s3 = [
      for list in local.reference_lists : "arn:${local.partition}:s3:::${trimprefix(list, "s3://")}" if startswith(list, "s3://")
    ]
    ssm = [
      for list in local.reference_lists : startswith(list, "ssm:arn:") ? trimprefix(list, "ssm:") :
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

  in_this_region = { StringEquals = { "aws:RequestedRegion" = local.region } }

  # By the service in the ARN of the destination, which is the ARN's third part.
  destination_actions = {
    events = "events:PutEvents"
    lambda = "lambda:InvokeFunction"
    sns    = "sns:Publish"
    sqs    = "sqs:SendMessage"
  }

  # A statement that this instance does not need is null, and is left out of the policy.
  function_statements = [
    for statement in [
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
      {
        Sid    = "ReadRepositories"
        Effect = "Allow"
        Action = sort(distinct(concat(local.permissions.read, tolist(local.repository_guard_actions))))
        # All repositories: the program has to read their tags to find out which ones are opted in.
        Resource = local.repositories_arn
      },
      # Without actions the statement is left out, because IAM rejects an empty list of actions.
      length(local.usage_actions) > 0 ? {
        Sid    = "FindUsage"
        Effect = "Allow"
        Action = local.usage_actions
        # "*": any consumer in the account may use an image, and the list operations accept no narrower resource.
        Resource  = "*"
        Condition = local.in_this_region
      } : null,
      local.describe_clusters_statement,
      length(local.account_guard_actions) > 0 ? {
        Sid    = "CheckGuards"
        Effect = "Allow"
        Action = local.account_guard_actions
        # "*": IAM defines no resource for the ECR registry or for the list of EKS clusters.
        Resource  = "*"
        Condition = local.in_this_region
      } : null,
      length(local.inspector_actions) > 0 ? {
        Sid    = "ReadInspectorCoverage"
        Effect = "Allow"
        Action = local.inspector_actions
        # "*": IAM defines no resource for the coverage list of Inspector.
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
        Resource = local.repositories_arn
        Condition = {
          StringEquals = { "aws:ResourceTag/BoxCleanerEnabled" = "true" }
        }
      } : null,
      var.kms_key_arn != null ? {
        Sid      = "ReadSettings"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = var.kms_key_arn
      } : null,
      var.on_failure_destination_arn != null ? {
        Sid      = "TellOfFailure"
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
      } : null,
      length(var.vpc_subnet_ids) > 0 ? {
        Sid    = "AttachToVpc"
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses",
          "ec2:CreateNetworkInterface",
          "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSubnets",
          "ec2:UnassignPrivateIpAddresses",
        ]
        # "*": Lambda creates the network interfaces and checks these actions without a resource.
        Resource = "*"
      } : null,
    ] : statement if statement != null
  ]
}

# IAM is global. The region in the names keeps instances in different regions apart.
resource "aws_iam_role" "function" {
  name                 = "${var.name}-${local.region}"
  description          = "Lets the function ${var.name} find and clean images in ECR."
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })

  tags = var.tags
}

resource "aws_iam_role_policy" "function" {
  name = "cleaner"
  role = aws_iam_role.function.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.function_statements
  })
}
