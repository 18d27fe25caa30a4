# ECR records it as a pull if the function reads the manifest of an index, unless its role is excluded from
# that. Version 5 of the provider has no resource for it, so the function excludes its own role in a real run.

locals {
  # The function knows its role by the ARN of its session, which leaves out the path of the role: it would exclude
  # a role that does not exist.
  role_has_path           = var.create_role ? var.iam_path != "/" : !can(regex(":role/[^/]+$", var.role_arn))
  register_pull_exclusion = var.register_pull_exclusion && !local.role_has_path

  pull_times_statements = [
    for statement in [
      {
        Sid    = "UsePullTimeExclusions"
        Effect = "Allow"
        Action = concat(
          local.permissions["pull-times"].list,
          !var.dry_run && local.register_pull_exclusion ? local.permissions["pull-times"].register : [],
        )
        # "*": IAM defines no resource for the ECR registry.
        Resource  = "*"
        Condition = local.in_this_region
      },
      var.dry_run ? {
        Sid      = "DenyExcludingInDryRun"
        Effect   = "Deny"
        Action   = local.permissions["pull-times"].register
        Resource = "*"
      } : null,
    ] : statement if statement != null
  ]
}
