locals {
  # The single list of the actions that the program calls, held against its code by a test.
  permissions = jsondecode(file("${path.module}/../lambda_src/ecr_cleaner/permissions.json"))

  usage_actions = sort(distinct(flatten([
    for source, actions in local.permissions.usage : actions if !contains(var.waived_sources, source)
  ])))

  guards = keys(try(local.permissions.guards, {}))
  guard_actions = sort(distinct(flatten([
    for guard in local.guards : local.permissions.guards[guard] if !contains(var.waived_guards, guard)
  ])))
  # The one of them that has a repository as its resource; the others ask about the registry or the account.
  repository_guard_actions = setintersection(local.guard_actions, ["ecr:GetRepositoryPolicy"])
  account_guard_actions    = sort(setsubtract(local.guard_actions, local.repository_guard_actions))

  inspector_actions = var.inspector_coverage ? try(local.permissions.optional["inspector"], []) : []

  # Each list is one object or parameter, and IAM gets exactly these, without the options behind "?".
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

  in_this_region = { StringEquals = { "aws:RequestedRegion" = local.region } }

  # The service of an ARN is its third part.
  destination_actions = {
    events = "events:PutEvents"
    lambda = "lambda:InvokeFunction"
    sns    = "sns:Publish"
    sqs    = "sqs:SendMessage"
  }

  # Lists of none or one statement, so that the document holds only what this instance needs.
  function_statements = concat(
    [
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
        # All of them: which ones are opted in is known only after reading their tags.
        Resource = local.repositories_arn
      },
    ],
    # No statement at all where every source is waived: IAM refuses an empty list of actions.
    [
      for actions in [local.usage_actions] : {
        Sid    = "FindUsage"
        Effect = "Allow"
        Action = actions
        # "*": any consumer in the account may use an image, and the list operations know nothing narrower.
        Resource  = "*"
        Condition = local.in_this_region
      } if length(actions) > 0
    ],
    [
      for actions in [local.account_guard_actions] : {
        Sid    = "CheckGuards"
        Effect = "Allow"
        Action = actions
        # "*": ECR's registry and the list of EKS clusters have no resource that IAM knows.
        Resource  = "*"
        Condition = local.in_this_region
      } if length(actions) > 0
    ],
    [
      for actions in [local.inspector_actions] : {
        Sid    = "ReadInspectorCoverage"
        Effect = "Allow"
        Action = actions
        # "*": Inspector's list of what it covers has no resource that IAM knows.
        Resource  = "*"
        Condition = local.in_this_region
      } if length(actions) > 0
    ],
    [
      for service, arns in local.reference_list_arns : {
        Sid      = "ReadReferenceLists${upper(service)}"
        Effect   = "Allow"
        Action   = [for action in try(local.permissions.optional["reference-lists"], []) : action if startswith(action, "${service}:")]
        Resource = arns
      } if length(arns) > 0
    ],
    [
      for actions in [local.all_sweep_actions] : {
        Sid    = "DenySweepingInDryRun"
        Effect = "Deny"
        Action = actions
        # "*": a dry run removes nothing anywhere, whatever another policy allows.
        Resource = "*"
      } if var.dry_run
    ],
    [
      for actions in [local.sweep_actions] : {
        Sid      = "SweepOptedInRepositories"
        Effect   = "Allow"
        Action   = actions
        Resource = local.repositories_arn
        Condition = {
          StringEquals = { "aws:ResourceTag/BoxCleanerEnabled" = "true" }
        }
      } if !var.dry_run
    ],
    [
      for key in [var.kms_key_arn] : {
        Sid      = "ReadSettings"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = key
      } if key != null
    ],
    [
      for destination in [var.on_failure_destination_arn] : {
        Sid      = "TellOfFailure"
        Effect   = "Allow"
        Action   = [local.destination_actions[split(":", destination)[2]]]
        Resource = destination
      } if destination != null
    ],
    [
      for key in [var.on_failure_destination_kms_key_arn] : {
        Sid    = "EncryptFailure"
        Effect = "Allow"
        # Both for writing: SQS and SNS ask for a data key, and prove it by decrypting it.
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = key
      } if key != null
    ],
    [
      for subnets in [var.vpc_subnet_ids] : {
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
        # "*": Lambda makes the network interfaces and checks these actions without a resource.
        Resource = "*"
      } if length(subnets) > 0
    ],
  )
}

# IAM is global, so the region is part of the names: one instance a region is the common case.
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
