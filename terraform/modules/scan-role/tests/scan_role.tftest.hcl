# The policies of the role. All runs only plan.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  cleaner_role_arns = ["arn:aws:iam::123456789012:role/ecr-cleaner-eu-central-1"]
}

run "by_default" {
  command = plan

  assert {
    condition     = [aws_iam_role.scan.name, aws_iam_role.scan.path, output.scan_role_name] == ["ecr-cleaner-scan", "/", "ecr-cleaner-scan"]
    error_message = "The role must have the name that the cleaner expects."
  }

  assert {
    condition = aws_iam_role.scan.assume_role_policy == jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid       = "TrustCleaner"
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { AWS = ["arn:aws:iam::123456789012:role/ecr-cleaner-eu-central-1"] }
      }]
    })
    error_message = "Only the role of the cleaner may assume the role: ${aws_iam_role.scan.assume_role_policy}"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.scan.policy).Statement[*].Sid == ["FindUsage", "DescribeConsumers"]
    error_message = "The role must only find consumers: ${aws_iam_role_policy.scan.policy}"
  }

  assert {
    condition = toset(flatten(jsondecode(aws_iam_role_policy.scan.policy).Statement[*].Action)) == toset(concat(
      flatten(values(jsondecode(file("../../../lambda_src/ecr_cleaner/permissions.json")).usage)),
      ["ec2:DescribeRegions", "ecr:DescribePullThroughCacheRules", "ecr:DescribeRegistry"],
      ["inspector2:GetMember", "inspector2:ListCoverage"],
    ))
    error_message = "The role must have the actions of all sources, those that find regions and copies, and those for the administrator of Inspector."
  }

  assert {
    condition = alltrue([
      for action in flatten(jsondecode(aws_iam_role_policy.scan.policy).Statement[*].Action) : can(regex("^[a-z0-9-]+:(BatchGet|Describe|Get|List|Search)[A-Za-z]+$", action))
    ])
    error_message = "The role must only read, without wildcards in actions."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.scan.policy).Statement : !contains(keys(statement), "Condition") && statement.Effect == "Allow"
    ])
    error_message = "By default, the role must be able to read in every region."
  }

  assert {
    condition = alltrue([
      for arn in one([for statement in local.statements : statement if statement.Sid == "DescribeConsumers"]).Resource :
      can(regex("^arn:aws:[a-z-]+:\\*:111122223333:\\*$", arn))
    ])
    error_message = "Actions that read single consumers must be limited to this account."
  }

  assert {
    condition     = length(aws_iam_role_policy.scan.policy) <= 8192
    error_message = "The policy must stay below the 10240 characters of IAM: it has ${length(aws_iam_role_policy.scan.policy)}."
  }
}

run "conditions_of_the_trust" {
  command = plan

  variables {
    cleaner_role_arns = [
      "arn:aws:iam::123456789012:role/ecr-cleaner-us-east-1",
      "arn:aws:iam::123456789012:role/ecr-cleaner-eu-central-1",
    ]
    external_id     = "images:1"
    organization_id = "o-a1b2c3d4e5"
  }

  assert {
    condition = jsonencode(jsondecode(aws_iam_role.scan.assume_role_policy).Statement) == jsonencode([{
      Sid    = "TrustCleaner"
      Effect = "Allow"
      Action = "sts:AssumeRole"
      Principal = { AWS = [
        "arn:aws:iam::123456789012:role/ecr-cleaner-eu-central-1",
        "arn:aws:iam::123456789012:role/ecr-cleaner-us-east-1",
      ] }
      Condition = { StringEquals = { "sts:ExternalId" = "images:1", "aws:PrincipalOrgID" = "o-a1b2c3d4e5" } }
    }])
    error_message = "Both conditions must hold: ${aws_iam_role.scan.assume_role_policy}"
  }
}

run "regions" {
  command = plan

  variables {
    scan_regions = ["us-east-1", "eu-central-1", "us-east-1"]
  }

  assert {
    condition = alltrue([
      for statement in local.statements :
      jsonencode(statement.Condition) == jsonencode({ StringEquals = { "aws:RequestedRegion" = ["eu-central-1", "us-east-1"] } })
    ])
    error_message = "The role must be able to read only in these regions."
  }
}

run "waived_sources" {
  command = plan

  variables {
    waived_sources = ["lambda", "eks"]
  }

  assert {
    condition     = length(setintersection(flatten(local.statements[*].Action), ["lambda:GetFunction", "lambda:ListFunctions", "eks:DescribeCluster"])) == 0
    error_message = "The actions of the waived sources must be left out."
  }

  assert {
    condition     = contains(flatten(local.statements[*].Action), "eks:ListClusters")
    error_message = "The guard must be able to list the clusters."
  }
}

run "all_sources_waived" {
  command = plan

  variables {
    waived_sources = keys(jsondecode(file("../../../lambda_src/ecr_cleaner/permissions.json")).usage)
  }

  assert {
    condition     = local.statements[*].Sid == ["FindUsage"]
    error_message = "The statement must be left out, because IAM rejects a statement without actions."
  }
}

run "name_and_path" {
  command = plan

  variables {
    name                 = "images"
    path                 = "/platform/"
    permissions_boundary = "arn:aws:iam::111122223333:policy/boundary"
    tags                 = { team = "platform" }
  }

  assert {
    condition     = [aws_iam_role.scan.name, aws_iam_role.scan.path, aws_iam_role.scan.permissions_boundary, output.scan_role_name] == ["images", "/platform/", "arn:aws:iam::111122223333:policy/boundary", "platform/images"]
    error_message = "The role must have its name, path and boundary."
  }

  assert {
    condition     = aws_iam_role.scan.tags == tomap({ team = "platform" })
    error_message = "The role must have its tags."
  }
}

run "bad_values" {
  command = plan

  variables {
    cleaner_role_arns    = ["arn:aws:iam::123456789012:root"]
    external_id          = "a b"
    organization_id      = "123456789012"
    scan_regions         = ["enabled"]
    waived_sources       = ["gke"]
    name                 = "a/b"
    path                 = "platform"
    permissions_boundary = "boundary"
  }

  expect_failures = [
    var.cleaner_role_arns, var.external_id, var.organization_id, var.scan_regions, var.waived_sources, var.name, var.path,
    var.permissions_boundary,
  ]
}

run "wildcard_in_the_trust" {
  command = plan

  variables {
    cleaner_role_arns = ["arn:aws:iam::123456789012:role/*"]
  }

  expect_failures = [var.cleaner_role_arns]
}

run "nobody_to_trust" {
  command = plan

  variables {
    cleaner_role_arns = []
  }

  expect_failures = [var.cleaner_role_arns]
}
