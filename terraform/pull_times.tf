# ECR records it as a pull if the function reads the manifest of an index, unless its role is excluded from
# that. Version 5 of the provider has no resource for it, so the function excludes its own role in a real run.

locals {
  pull_times_statements = [
    for statement in [
      {
        Sid    = "ReadPullTimeExclusions"
        Effect = "Allow"
        Action = try(local.permissions["pull-times"].list, [])
        # "*": IAM defines no resource for the ECR registry.
        Resource  = "*"
        Condition = local.in_this_region
      },
      !var.dry_run && var.register_pull_exclusion ? {
        Sid       = "ExcludeOwnPulls"
        Effect    = "Allow"
        Action    = try(local.permissions["pull-times"].register, [])
        Resource  = "*"
        Condition = local.in_this_region
      } : null,
      var.dry_run ? {
        Sid      = "DenyExcludingInDryRun"
        Effect   = "Deny"
        Action   = try(local.permissions["pull-times"].register, [])
        Resource = "*"
      } : null,
    ] : statement if statement != null
  ]
}
