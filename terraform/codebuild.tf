# The image, built by CodeBuild if build_with is "codebuild". The machine that runs Terraform needs no container
# engine and no AWS CLI then.
#
# No resource of the provider starts a build and waits for it (the action aws_codebuild_start_build needs Terraform
# 1.14 and version 6 of the provider). So a small function does, and Terraform invokes it. CloudFormation creates
# the function, because it accepts the code as text; Lambda itself only accepts archives, which Terraform cannot
# create without another provider.

locals {
  build_locally        = local.build_image && var.build_with == "local"
  build_with_codebuild = local.build_image && var.build_with == "codebuild"

  build_name         = "${var.name}-build"
  build_project_arn  = "arn:${local.partition}:codebuild:${local.region}:${local.account_id}:project/${local.build_name}"
  build_log_group    = "/aws/codebuild/${local.build_name}"
  own_repository_arn = "arn:${local.partition}:ecr:${local.region}:${local.account_id}:repository/${local.repository_name}"

  # A hash instead of account and region: names of buckets have at most 63 characters.
  build_bucket     = "${local.build_name}-${substr(sha256("${local.account_id}/${local.region}"), 0, 16)}"
  build_bucket_arn = "arn:${local.partition}:s3:::${local.build_bucket}"
  build_key        = "${local.image_tag}.json.gz"

  # All files of the build, by their path: one object, so that a plan has one change.
  build_files = merge(
    { for file in local.source_files : "lambda_src/${file}" => file("${local.source_dir}/${file}") },
    {
      "build-and-push.sh" = file("${path.module}/scripts/build-and-push.sh")
      # Quoted, so that no shell interprets the values of variables.
      "build.sh" = "exec sh build-and-push.sh ${join(" ", [
        for argument in concat(local.build_args, ["lambda_src"]) : "'${replace(argument, "'", "'\\''")}'"
      ])}\n"
    },
  )

  build_environment = {
    SOURCES            = "s3://${local.build_bucket}/${local.build_key}"
    CONTAINER_ENGINE   = "docker"
    IMAGE_URI          = local.image_uri
    IMAGE_ARCHITECTURE = local.image_architecture
    IMAGE_REGION       = local.region
  }

  buildspec = {
    version = "0.2"
    phases = {
      build = {
        commands = [
          "aws s3 cp \"$SOURCES\" sources.json.gz",
          "python3 -c '${trimspace(file("${path.module}/scripts/unpack.py"))}'",
          "sh build.sh",
        ]
      }
    }
  }

  build_statements = [
    {
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:${local.build_log_group}:*"
    },
    {
      Sid       = "ReadSources"
      Effect    = "Allow"
      Action    = ["s3:GetObject"]
      Resource  = "${local.build_bucket_arn}/*"
      Condition = local.in_this_account
    },
    {
      Sid    = "LogInToRegistry"
      Effect = "Allow"
      Action = ["ecr:GetAuthorizationToken"]
      # "*": IAM defines no resource for this action.
      Resource  = "*"
      Condition = local.in_this_region
    },
    {
      Sid    = "PushImage"
      Effect = "Allow"
      Action = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeImages",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
      ]
      Resource = local.own_repository_arn
    },
  ]

  # Role and function in one stack: CloudFormation waits until Lambda can use the role.
  build_starter = {
    Description = "Starts the build of the image of ${var.name} and waits for it."
    Resources = {
      Role = {
        Type = "AWS::IAM::Role"
        Properties = merge(
          {
            RoleName    = "${var.name}-${local.region}-build-start"
            Path        = var.iam_path
            Description = "Lets the function ${local.build_name} start the build of the image of ${var.name}."
            AssumeRolePolicyDocument = {
              Version = "2012-10-17"
              Statement = [{
                Effect    = "Allow"
                Action    = "sts:AssumeRole"
                Principal = { Service = "lambda.amazonaws.com" }
                Condition = local.in_this_account_only
              }]
            }
            Policies = [{
              PolicyName = "start"
              PolicyDocument = {
                Version = "2012-10-17"
                # No permission to write a log: the function reports its errors to Terraform.
                Statement = [{
                  Sid      = "Build"
                  Effect   = "Allow"
                  Action   = ["codebuild:BatchGetBuilds", "codebuild:StartBuild"]
                  Resource = local.build_project_arn
                }]
              }
            }]
          },
          var.permissions_boundary == null ? {} : { PermissionsBoundary = var.permissions_boundary },
        )
      }
      Function = {
        Type = "AWS::Lambda::Function"
        Properties = {
          FunctionName = local.build_name
          Description  = "Starts the build of the image of ${var.name} and waits for it. Only Terraform invokes it."
          Role         = { "Fn::GetAtt" = ["Role", "Arn"] }
          Runtime      = "python3.13"
          Handler      = "index.handler"
          Timeout      = 900
          MemorySize   = 128
          Code         = { ZipFile = file("${path.module}/scripts/start_build.py") }
        }
      }
    }
  }
}

resource "aws_s3_bucket" "build" {
  count = local.build_with_codebuild ? 1 : 0

  #checkov:skip=CKV_AWS_18:Only Terraform and the build use the bucket, and the build has a log.
  #checkov:skip=CKV_AWS_21:Terraform has the content of the one object.
  #checkov:skip=CKV_AWS_144:Only the build in this region reads it.
  #checkov:skip=CKV_AWS_145:It holds the sources of the image. S3 encrypts it.
  #checkov:skip=CKV2_AWS_61:It holds one small object, which Terraform replaces.
  #checkov:skip=CKV2_AWS_62:Nothing has to react to a new object.

  bucket        = local.build_bucket
  force_destroy = true

  tags = var.tags

  lifecycle {
    ignore_changes       = [bucket]
    replace_triggered_by = [terraform_data.name]
  }
}

resource "aws_s3_bucket_public_access_block" "build" {
  count = local.build_with_codebuild ? 1 : 0

  bucket = aws_s3_bucket.build[0].id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "build" {
  count = local.build_with_codebuild ? 1 : 0

  bucket = aws_s3_bucket.build[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "DenyUnencryptedTransport"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.build_bucket_arn, "${local.build_bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # Both change the policy settings of the bucket, and S3 refuses concurrent changes.
  depends_on = [aws_s3_bucket_public_access_block.build]
}

resource "aws_s3_object" "sources" {
  count = local.build_with_codebuild ? 1 : 0

  bucket = aws_s3_bucket.build[0].id
  key    = local.build_key

  # Not secret, but plans would print 150 kB of it.
  content_base64 = sensitive(base64gzip(jsonencode(local.build_files)))

  # S3 accepts at most ten tags of an object, and the provider may have more default tags.
  override_provider {
    default_tags {
      tags = {}
    }
  }
}

resource "aws_cloudwatch_log_group" "build" {
  count = local.build_with_codebuild ? 1 : 0

  #checkov:skip=CKV_AWS_338:The operator chooses the retention.

  name              = local.build_log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = var.tags
}

resource "aws_iam_role" "build" {
  count = local.build_with_codebuild ? 1 : 0

  name                 = "${var.name}-${local.region}-build"
  path                 = var.iam_path
  description          = "Lets CodeBuild build and push the image of ${var.name}."
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "codebuild.amazonaws.com" }
      Condition = local.in_this_account_only
    }]
  })

  tags = var.tags

  lifecycle {
    ignore_changes       = [name]
    replace_triggered_by = [terraform_data.name]
  }
}

resource "aws_iam_role_policy" "build" {
  count = local.build_with_codebuild ? 1 : 0

  name = "build"
  role = aws_iam_role.build[0].id

  policy = jsonencode({ Version = "2012-10-17", Statement = local.build_statements })
}

resource "aws_codebuild_project" "build" {
  count = local.build_with_codebuild ? 1 : 0

  #checkov:skip=CKV_AWS_147:It has no artifacts that a key could encrypt.
  #checkov:skip=CKV_AWS_316:A build of a container image needs the privileged mode. Each build has its own virtual machine.

  name         = local.build_name
  description  = "Builds and pushes the image of ${var.name}."
  service_role = aws_iam_role.build[0].arn
  # Together at most the time that the function waits.
  build_timeout  = 9
  queued_timeout = 5

  source {
    type      = "NO_SOURCE"
    buildspec = jsonencode(local.buildspec)
  }

  artifacts {
    type = "NO_ARTIFACTS"
  }

  # x86 also for arm64 images: the Dockerfile runs no command on the other architecture, and not every region has
  # arm64 machines.
  environment {
    type            = "LINUX_CONTAINER"
    image           = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    compute_type    = "BUILD_GENERAL1_SMALL"
    privileged_mode = true
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.build[0].name
    }
  }

  tags = var.tags
}

resource "aws_cloudformation_stack" "build" {
  count = local.build_with_codebuild ? 1 : 0

  #checkov:skip=CKV_AWS_124:Terraform reports the errors of the stack.

  name          = local.build_name
  template_body = jsonencode(local.build_starter)
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  on_failure    = "DELETE"

  tags = var.tags
}

# The function returns after the build, so that what depends on this finds the image.
resource "aws_lambda_invocation" "build" {
  count = local.build_with_codebuild ? 1 : 0

  function_name = local.build_name

  # A change invokes the function again.
  input = jsonencode({ project = local.build_name, environment = local.build_environment })

  depends_on = [
    aws_cloudformation_stack.build,
    aws_codebuild_project.build,
    aws_ecr_repository.this,
    aws_iam_role_policy.build,
    aws_s3_bucket_policy.build,
    aws_s3_object.sources,
  ]
}
