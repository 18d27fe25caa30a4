# The source of the image, its repository, and the changes that cause a new build.

mock_provider "aws" {
  source = "./tests/aws"
}

run "source_files" {
  command = plan

  assert {
    condition     = contains(local.source_files, "Dockerfile") && contains(local.source_files, "requirements.txt") && contains(local.source_files, "ecr_cleaner/permissions.json")
    error_message = "The tag must cover all files of the image: ${jsonencode(local.source_files)}"
  }

  assert {
    condition     = !anytrue([for file in local.source_files : can(regex("__pycache__|\\.pyc$", file))])
    error_message = "The tag must not cover bytecode that test runs leave behind: ${jsonencode(local.source_files)}"
  }

  assert {
    condition     = !anytrue([for file in local.source_files : can(regex("(^|/)\\.", file))])
    error_message = "No name may begin with a dot, because Terraform does not install such files twice: ${jsonencode(local.source_files)}"
  }

  assert {
    condition     = can(regex("^[0-9a-f]{20}$", local.image_tag))
    error_message = "The tag must be a hash."
  }
}

run "unchanged_sources_and_the_repository" {
  command = plan

  assert {
    condition     = local.image_tag == run.source_files.image_tag
    error_message = "The tag must not change if the sources do not change."
  }

  assert {
    condition = [for rule in jsondecode(aws_ecr_lifecycle_policy.this[0].policy).rules : [rule.rulePriority, rule.selection]] == [
      [1, { tagStatus = "tagged", tagPatternList = [local.image_tag], countType = "imageCountMoreThan", countNumber = 1 }],
      [2, { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }],
    ]
    error_message = "ECR must keep the ten newest images and the image that the function runs: ${aws_ecr_lifecycle_policy.this[0].policy}"
  }

  assert {
    condition = jsondecode(aws_ecr_repository_policy.this[0].policy).Statement == [{
      Sid       = "LambdaECRImageRetrievalPolicy"
      Effect    = "Allow"
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Principal = { Service = "lambda.amazonaws.com" }
      Condition = {
        StringLike = {
          "aws:SourceArn" = [
            "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner",
            "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner:*",
          ]
        }
      }
    }]
    error_message = "Only this function may use the repository: ${aws_ecr_repository_policy.this[0].policy}"
  }
}

run "repository_with_kms_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition     = can(regex("^ecr-cleaner-[0-9a-f]{8}$", aws_ecr_repository.this[0].name))
    error_message = "Each key must have its own repository, so that another key does not destroy the image that runs."
  }
}

run "another_architecture" {
  command = plan

  variables {
    architecture = "x86_64"
  }

  assert {
    condition     = local.image_tag != run.source_files.image_tag
    error_message = "Another architecture must have another tag."
  }
}

run "other_build_arguments" {
  command = plan

  variables {
    extra_build_args = ["--build-arg", "BASE_IMAGE=mirror.example.com/lambda/python:3.13"]
  }

  assert {
    condition     = local.image_tag != run.source_files.image_tag
    error_message = "Other build arguments must have another tag."
  }
}

run "existing_image" {
  command = plan

  variables {
    image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  assert {
    condition     = aws_lambda_function.this.image_uri == var.image_uri && output.image_uri == var.image_uri
    error_message = "The function must run the given image."
  }

  assert {
    condition     = length(aws_ecr_repository.this) == 0 && length(aws_ecr_lifecycle_policy.this) == 0 && length(terraform_data.image) == 0
    error_message = "The module must not build an image or create a repository."
  }

  assert {
    condition     = output.repository_name == null && output.repository_url == null
    error_message = "The outputs of the repository must be null."
  }
}

run "image_in_own_repository" {
  command = plan

  variables {
    name      = "cleaner"
    image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/cleaner:1.0.0"
  }

  expect_failures = [aws_lambda_function.this]
}

run "image_in_repository_with_same_name_in_another_account" {
  command = plan

  variables {
    name              = "cleaner"
    image_uri         = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/cleaner:1.0.0"
    image_account_ids = ["210987654321"]
  }

  assert {
    condition     = output.image_uri == var.image_uri
    error_message = "The module must accept a repository with the same name in another account."
  }
}

run "image_in_unexpected_account" {
  command = plan

  variables {
    image_uri = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"
  }

  expect_failures = [aws_lambda_function.this]
}

run "image_in_another_region" {
  command = plan

  variables {
    image_uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/tools/ecr-cleaner:1.0.0"
  }

  expect_failures = [aws_lambda_function.this]
}

run "image_of_the_same_apply" {
  command = plan

  module {
    source = "./tests/image_of_the_same_apply"
  }

  assert {
    condition     = output.repository_name == null
    error_message = "With build_image = false, the module must accept an image_uri that is unknown at plan time."
  }
}

run "base_image" {
  command = plan

  variables {
    base_image = "mirror.example.com/lambda/python:3.13"
  }

  assert {
    condition     = local.build_args == tolist(["--build-arg", "BASE_IMAGE=mirror.example.com/lambda/python:3.13"]) && local.image_tag != run.source_files.image_tag
    error_message = "Another base image must be passed to the build and have another tag."
  }
}

run "rebuild" {
  command = plan

  variables {
    rebuild = "2026-11-01"
  }

  assert {
    condition     = contains(local.build_args, "--pull") && local.image_tag != run.source_files.image_tag
    error_message = "A rebuild must pull the base image and have another tag."
  }
}

run "another_rebuild" {
  command = plan

  variables {
    rebuild = "2026-11-02"
  }

  assert {
    condition     = local.image_tag != run.rebuild.image_tag
    error_message = "Each rebuild must have another tag."
  }
}
