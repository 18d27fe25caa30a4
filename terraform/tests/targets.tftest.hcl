# Where consumers are looked for: the regions and accounts of the settings and of the policy.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"

  # Monitoring does not affect what is tested here.
  saved_queries_enabled = false
  metrics_enabled       = false
  alarms_enabled        = false
  dashboard_enabled     = false
}

run "by_default" {
  command = plan

  assert {
    condition     = length([for name in keys(output.environment) : name if startswith(name, "SCAN_")]) == 0
    error_message = "By default, the program must scan the enabled regions of its own account."
  }

  assert {
    condition     = length(local.target_statements) == 0
    error_message = "By default, the function must not be able to assume a role."
  }

  assert {
    condition = length(setsubtract(
      ["ec2:DescribeRegions", "ecr:DescribePullThroughCacheRules", "ecr:DescribeRegistry"],
      one([for statement in local.function_statements : statement if statement.Sid == "FindUsage"]).Action
    )) == 0
    error_message = "The function must be able to find the enabled regions, and copies in all of them."
  }

  assert {
    condition     = !anytrue([for statement in jsondecode(aws_iam_role_policy.function[0].policy).Statement : try(statement.Condition == null, false)])
    error_message = "IAM rejects a condition that is null."
  }
}

run "regions_of_the_own_account" {
  command = plan

  variables {
    scan_regions  = ["us-east-1", "eu-west-1", "us-east-1"]
    scan_accounts = ["123456789012"]
  }

  assert {
    condition     = output.environment.SCAN_REGIONS == "eu-west-1,us-east-1"
    error_message = "SCAN_REGIONS must name each region once."
  }

  assert {
    condition = alltrue([
      for statement in local.function_statements :
      jsonencode(statement.Condition) == jsonencode({ StringEquals = { "aws:RequestedRegion" = ["eu-central-1", "eu-west-1", "us-east-1"] } })
      if contains(["FindUsage", "DescribeConsumers"], statement.Sid)
    ])
    error_message = "Consumers must be readable only in these regions and that of the registry."
  }

  assert {
    condition     = !contains(flatten(local.function_statements[*].Action), "ec2:DescribeRegions")
    error_message = "With a list, the regions need not be found."
  }

  assert {
    condition     = !contains(local.target_statements[*].Sid, "ScanAccounts")
    error_message = "The statement must be left out, because IAM rejects a statement without resources."
  }
}

run "accounts" {
  command = plan

  variables {
    scan_accounts    = ["444455556666", "123456789012", "111122223333", "444455556666"]
    scan_role_name   = "platform/images"
    scan_external_id = "secret:1"
  }

  assert {
    condition = jsonencode(one([for statement in local.target_statements : statement if statement.Sid == "ScanAccounts"])) == jsonencode({
      Sid      = "ScanAccounts"
      Effect   = "Allow"
      Action   = ["sts:AssumeRole"]
      Resource = ["arn:aws:iam::111122223333:role/platform/images", "arn:aws:iam::444455556666:role/platform/images"]
    })
    error_message = "Only this role of exactly these accounts may be assumed: ${jsonencode(local.target_statements)}"
  }

  assert {
    condition     = !contains(local.target_statements[*].Sid, "FindAccounts")
    error_message = "With a list, the accounts need not be found."
  }

  assert {
    condition     = [for name in ["ACCOUNTS", "ROLE_NAME", "EXTERNAL_ID"] : output.environment["SCAN_${name}"]] == ["111122223333,123456789012,444455556666", "platform/images", "secret:1"]
    error_message = "The function must get the settings: ${jsonencode(output.environment)}"
  }
}

run "deletion_stays_in_the_region_of_the_registry_if_the_organization_is_scanned" {
  command = plan

  variables {
    scan_accounts = ["organization"]
    dry_run       = false
    scan_regions  = ["us-east-1"]
  }

  assert {
    condition = jsonencode([for statement in local.target_statements : statement if contains(["FindAccounts", "ScanAccounts"], statement.Sid)]) == jsonencode([
      {
        Sid      = "FindAccounts"
        Effect   = "Allow"
        Action   = ["organizations:DescribeOrganization", "organizations:ListAccounts"]
        Resource = "*"
      },
      {
        Sid       = "ScanAccounts"
        Effect    = "Allow"
        Action    = ["sts:AssumeRole"]
        Resource  = ["arn:aws:iam::*:role/ecr-cleaner-scan"]
        Condition = { StringEquals = { "aws:ResourceOrgID" = "$${aws:PrincipalOrgID}" } }
      },
    ])
    error_message = "The role may be assumed only in accounts of the function's organization: ${jsonencode(local.target_statements)}"
  }

  assert {
    condition     = output.environment.SCAN_ACCOUNTS == "organization" && output.environment.SCAN_ROLE_NAME == "ecr-cleaner-scan" && !contains(keys(output.environment), "SCAN_EXTERNAL_ID")
    error_message = "The function must get the settings: ${jsonencode(output.environment)}"
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "SweepOptedInRepositories"])) == jsonencode({
      Sid       = "SweepOptedInRepositories"
      Effect    = "Allow"
      Action    = ["ecr:BatchDeleteImage"]
      Resource  = ["arn:aws:ecr:eu-central-1:123456789012:repository/*"]
      Condition = { StringEquals = { "aws:ResourceTag/BoxCleanerEnabled" = "true" } }
    })
    error_message = "Only images in opted-in repositories of the registry may be deleted."
  }
}

run "administrator_of_inspector" {
  command = plan

  variables {
    inspector_coverage      = true
    inspector_administrator = "222233334444"
    scan_role_name          = "platform/images"
    scan_external_id        = "secret:1"
  }

  assert {
    condition = jsonencode(local.target_statements) == jsonencode([{
      Sid      = "ScanAccounts"
      Effect   = "Allow"
      Action   = ["sts:AssumeRole"]
      Resource = ["arn:aws:iam::222233334444:role/platform/images"]
    }])
    error_message = "Only the role of the administrator may be assumed: ${jsonencode(local.target_statements)}"
  }

  assert {
    condition     = [for name in ["INSPECTOR_ADMINISTRATOR", "SCAN_ROLE_NAME", "SCAN_EXTERNAL_ID"] : output.environment[name]] == ["222233334444", "platform/images", "secret:1"]
    error_message = "The function must get the settings: ${jsonencode(output.environment)}"
  }

  assert {
    condition     = !contains(keys(output.environment), "SCAN_ACCOUNTS")
    error_message = "The administrator must not be scanned."
  }
}

run "administrator_of_inspector_beside_accounts" {
  command = plan

  variables {
    inspector_coverage      = true
    inspector_administrator = "222233334444"
    scan_accounts           = ["444455556666", "222233334444", "111122223333"]
  }

  assert {
    condition = one([for statement in local.target_statements : statement.Resource if statement.Sid == "ScanAccounts"]) == [
      "arn:aws:iam::111122223333:role/ecr-cleaner-scan",
      "arn:aws:iam::222233334444:role/ecr-cleaner-scan",
      "arn:aws:iam::444455556666:role/ecr-cleaner-scan",
    ]
    error_message = "Each account must be named once: ${jsonencode(local.target_statements)}"
  }
}

run "administrator_of_inspector_in_the_organization" {
  command = plan

  variables {
    inspector_coverage      = true
    inspector_administrator = "222233334444"
    scan_accounts           = ["organization"]
  }

  assert {
    condition     = one([for statement in local.target_statements : statement.Resource if statement.Sid == "ScanAccounts"]) == ["arn:aws:iam::*:role/ecr-cleaner-scan"]
    error_message = "The roles of the organization include that of the administrator: ${jsonencode(local.target_statements)}"
  }
}

run "external_id_without_accounts" {
  command = plan

  variables {
    scan_external_id = "secret"
  }

  assert {
    condition     = length([for name in keys(output.environment) : name if startswith(name, "SCAN_")]) == 0
    error_message = "Without accounts, no role is assumed."
  }
}

run "own_account_as_administrator_of_inspector" {
  command = plan

  variables {
    inspector_coverage      = true
    inspector_administrator = "123456789012"
  }

  assert {
    condition     = length(local.target_statements) == 0 && output.environment.INSPECTOR_ADMINISTRATOR == "123456789012"
    error_message = "In its own account, the function assumes no role: ${jsonencode(local.target_statements)}"
  }
}

run "too_many_accounts" {
  command = plan

  variables {
    scan_accounts = [for number in range(100) : format("%012d", number)]
  }

  expect_failures = [aws_iam_role_policy.function[0]]
}
