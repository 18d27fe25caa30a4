# The image, built by CodeBuild.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  build_with = "codebuild"
}

run "build_in_the_account" {
  command = plan

  assert {
    condition     = length(terraform_data.image) == 0 && length(aws_ecr_repository.this) == 1 && output.build_project_name == "ecr-cleaner-build"
    error_message = "CodeBuild must build the image, and not the machine that runs Terraform."
  }

  assert {
    condition     = alltrue([for file in local.source_files : contains(keys(local.build_files), "lambda_src/${file}")])
    error_message = "The build must get all sources: ${jsonencode(keys(local.build_files))}"
  }

  assert {
    condition     = aws_s3_object.sources[0].key == "${local.image_tag}.json.gz"
    error_message = "Other sources must have another key."
  }

  assert {
    condition     = length(one(one(aws_s3_object.sources[0].override_provider).default_tags).tags) == 0
    error_message = "The object must not get the default tags of the provider, which may be more than the ten that S3 accepts."
  }

  # The buildspec passes the script in single quotes.
  assert {
    condition     = length(regexall("'", local.buildspec.phases.build.commands[1])) == 2
    error_message = "scripts/unpack.py must not contain single quotes."
  }

  assert {
    condition     = length(local.build_starter.Resources.Function.Properties.Code.ZipFile) <= 4096
    error_message = "CloudFormation accepts code as text only up to 4096 characters."
  }

  assert {
    condition     = one(aws_codebuild_project.build[0].environment).privileged_mode && aws_codebuild_project.build[0].build_timeout + aws_codebuild_project.build[0].queued_timeout < 15
    error_message = "The build needs the privileged mode, and must end before the function that waits for it."
  }

  # Its permissions
  assert {
    condition = jsonencode(jsondecode(aws_iam_role_policy.build[0].policy).Statement) == jsonencode([
      {
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Effect   = "Allow"
        Resource = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/codebuild/ecr-cleaner-build:*"
        Sid      = "WriteLogs"
      },
      {
        Action    = ["s3:GetObject"]
        Condition = { StringEquals = { "s3:ResourceAccount" = "123456789012" } }
        Effect    = "Allow"
        Resource  = "arn:aws:s3:::${local.build_bucket}/*"
        Sid       = "ReadSources"
      },
      {
        Action    = ["ecr:GetAuthorizationToken"]
        Condition = { StringEquals = { "aws:RequestedRegion" = "eu-central-1" } }
        Effect    = "Allow"
        Resource  = "*"
        Sid       = "LogInToRegistry"
      },
      {
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Effect   = "Allow"
        Resource = "arn:aws:ecr:eu-central-1:123456789012:repository/ecr-cleaner"
        Sid      = "PushImage"
      },
    ])
    error_message = "The build must be able to push only this image, and to read only its sources: ${aws_iam_role_policy.build[0].policy}"
  }

  assert {
    condition     = jsondecode(aws_iam_role.build[0].assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    error_message = "Only builds in this account may assume the role."
  }

  assert {
    condition = one(jsondecode(aws_cloudformation_stack.build[0].template_body).Resources.Role.Properties.Policies).PolicyDocument.Statement == [{
      Sid      = "Build"
      Effect   = "Allow"
      Action   = ["codebuild:BatchGetBuilds", "codebuild:StartBuild"]
      Resource = "arn:aws:codebuild:eu-central-1:123456789012:project/ecr-cleaner-build"
    }]
    error_message = "The function must be able to do nothing but build."
  }
}

run "path_boundary_and_longest_name" {
  command = plan

  variables {
    iam_path             = "/platform/"
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
    name                 = "a-name-of-thirty-two-characters1"
  }

  assert {
    condition = [
      aws_iam_role.build[0].path, aws_iam_role.build[0].permissions_boundary,
      jsondecode(aws_cloudformation_stack.build[0].template_body).Resources.Role.Properties.Path,
      jsondecode(aws_cloudformation_stack.build[0].template_body).Resources.Role.Properties.PermissionsBoundary,
    ] == ["/platform/", var.permissions_boundary, "/platform/", var.permissions_boundary]
    error_message = "All roles must have the path and the boundary."
  }

  assert {
    condition = (
      length(var.name) == 32 && length(aws_s3_bucket.build[0].bucket) <= 63 && length(aws_iam_role.build[0].name) <= 64 &&
      length(jsondecode(aws_cloudformation_stack.build[0].template_body).Resources.Role.Properties.RoleName) <= 64
    )
    error_message = "All names must be within the limits of AWS."
  }
}

run "existing_image" {
  command = plan

  variables {
    image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"
  }

  assert {
    condition     = length(aws_codebuild_project.build) == 0 && length(aws_cloudformation_stack.build) == 0 && length(aws_s3_bucket.build) == 0 && output.build_project_name == null
    error_message = "Without a build, nothing for it may be created."
  }
}

run "local_build" {
  command = plan

  variables {
    build_with = "local"
  }

  assert {
    condition     = length(aws_codebuild_project.build) == 0 && length(terraform_data.image) == 1
    error_message = "A local build must need nothing in the account but the repository."
  }
}
