# The role that the function of the cleaner assumes to find the images that an account uses.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  # The same lists as those of the function.
  permissions           = jsondecode(file("${path.module}/../../../lambda_src/ecr_cleaner/permissions.json"))
  actions_with_resource = jsondecode(file("${path.module}/../../actions_with_resource.json"))

  actions = sort(distinct(flatten([
    [for source, actions in local.permissions.usage : actions if !contains(var.waived_sources, source)],
    # The guard lists the clusters even if their source is waived.
    local.permissions.guards["eks-clusters"],
    local.permissions.targets.copies,
    # In every account, because any may be the administrator of Inspector.
    local.permissions.targets["inspector-administrator"],
    local.permissions.targets.regions,
  ])))
  list_actions     = [for action in local.actions : action if !contains(local.actions_with_resource, action)]
  describe_actions = [for action in local.actions : action if contains(local.actions_with_resource, action)]

  # Null: every region, so there is no condition.
  in_scanned_regions = length(var.scan_regions) == 0 ? null : {
    StringEquals = { "aws:RequestedRegion" = sort(distinct(var.scan_regions)) }
  }

  # A statement that is not needed is null, and is left out of the policy, and so is a condition.
  statements = [
    for statement in [
      {
        Sid    = "FindUsage"
        Effect = "Allow"
        Action = local.list_actions
        # "*": IAM defines no resource for these actions, or none that the calls name.
        Resource  = "*"
        Condition = local.in_scanned_regions
      },
      length(local.describe_actions) > 0 ? {
        Sid    = "DescribeConsumers"
        Effect = "Allow"
        Action = local.describe_actions
        # All resources of these services in this account: any of them may use an image.
        Resource = distinct([
          for action in local.describe_actions : "arn:${local.partition}:${split(":", action)[0]}:*:${local.account_id}:*"
        ])
        Condition = local.in_scanned_regions
      } : null,
    ] : { for key, value in statement : key => value if value != null } if statement != null
  ]
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })

  trust_values = {
    for key, value in { "sts:ExternalId" = var.external_id, "aws:PrincipalOrgID" = var.organization_id } : key => value if value != null
  }
  trust_statement = {
    for key, value in {
      Sid       = "TrustCleaner"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = sort(distinct(var.cleaner_role_arns)) }
      Condition = length(local.trust_values) == 0 ? null : { StringEquals = local.trust_values }
    } : key => value if value != null
  }
}

resource "aws_iam_role" "scan" {
  name                 = var.name
  path                 = var.path
  description          = "Lets the ECR cleaner read which images this account uses."
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [local.trust_statement] })

  tags = var.tags
}

resource "aws_iam_role_policy" "scan" {
  name   = "scan"
  role   = aws_iam_role.scan.id
  policy = local.policy
}
