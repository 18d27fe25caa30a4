# Where consumers are looked for: regions of this account, and other accounts.

locals {
  # Null: every enabled region, so there is no condition. The registry's own region is always scanned.
  in_scanned_regions = length(var.scan_regions) == 0 ? null : {
    StringEquals = { "aws:RequestedRegion" = sort(distinct(concat([local.region], var.scan_regions))) }
  }

  scans_organization = contains(var.scan_accounts, "organization")
  # The administrator of Inspector is in the organization of its members.
  other_accounts   = distinct(concat(var.scan_accounts, compact([var.inspector_administrator])))
  entered_accounts = local.scans_organization ? ["*"] : [for account in sort(local.other_accounts) : account if account != local.account_id]
  scan_role_arns   = [for account in local.entered_accounts : "arn:${local.partition}:iam::${account}:role/${var.scan_role_name}"]

  # They find out where else to look: copies of images in other registries, and the enabled regions.
  target_actions = concat(
    local.permissions.targets.copies,
    length(var.scan_regions) == 0 ? local.permissions.targets.regions : [],
  )

  target_statements = [
    for statement in [
      local.scans_organization ? {
        Sid    = "FindAccounts"
        Effect = "Allow"
        Action = local.permissions.targets.organization
        # "*": IAM defines no resource for the list of accounts. The API is not in the region of the function.
        Resource = "*"
      } : null,
      length(local.scan_role_arns) > 0 ? {
        Sid       = "ScanAccounts"
        Effect    = "Allow"
        Action    = local.permissions.targets.accounts
        Resource  = local.scan_role_arns
        Condition = local.scans_organization ? { StringEquals = { "aws:ResourceOrgID" = "$${aws:PrincipalOrgID}" } } : null
      } : null,
    ] : { for key, value in statement : key => value if value != null } if statement != null
  ]
}
