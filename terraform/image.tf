locals {
  build_image = var.build_image == null ? var.image_uri == null : var.build_image
  source_dir  = "${path.module}/../lambda_src"

  # All files that affect the content of the image, without files that test runs leave behind. No name may
  # begin with a dot: if two modules have the same Git source, Terraform installs the second one without
  # such files.
  source_files = sort(concat(
    ["Dockerfile", "requirements.txt"],
    [
      for file in fileset(local.source_dir, "ecr_cleaner/**") : file
      if !strcontains(file, "__pycache__/") && !endswith(file, ".pyc") && !startswith(basename(file), ".")
    ],
  ))

  build_args = concat(
    var.base_image == null ? [] : ["--build-arg", "BASE_IMAGE=${var.base_image}"],
    var.rebuild == null ? [] : ["--pull"],
    var.extra_build_args,
  )

  # The tag is a hash of the sources: only changed sources plan a build and a deployment.
  image_tag = substr(sha256(jsonencode({
    architecture     = var.architecture
    extra_build_args = local.build_args
    rebuild          = var.rebuild
    kms_key_arn      = var.kms_key_arn # another key has another repository, so the image must be pushed again
    files            = { for file in local.source_files : file => filesha256("${local.source_dir}/${file}") }
  })), 0, 20)

  images_kept = 10

  # As container engines name it.
  image_architecture = var.architecture == "x86_64" ? "amd64" : var.architecture

  # ECR cannot change the key of a repository. With a name for each key, the repository with the new key can
  # be created before the function leaves the one with the old key.
  repository_name = var.kms_key_arn == null ? var.name : "${var.name}-${substr(sha256(var.kms_key_arn), 0, 8)}"

  # The repository that the module creates while image_uri is null, and destroys once image_uri is set.
  own_repository = [local.account_id, local.region, local.repository_name]
  # Account, region and repository of image_uri; null if the module builds the image.
  given_repository = try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([^.]+)\\.[^/]+/([^:@]+)", var.image_uri), null)
  image_is_own     = local.given_repository == local.own_repository

  image_uri = local.build_image ? "${aws_ecr_repository.this[0].repository_url}:${local.image_tag}" : var.image_uri
}

# Explicitly opted out, because default tags of the provider may opt in all repositories. If the usage
# source "lambda" is waived, the cleaner does not find out that its own image is in use.
#
# create_before_destroy also applies if image_uri is set and nothing is created: Terraform then destroys the
# repository and its images only after the function runs the other image. If that update fails, they stay.
resource "aws_ecr_repository" "this" {
  count = local.build_image ? 1 : 0

  name                 = local.repository_name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # the images can be built again from the sources

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = var.kms_key_arn == null ? "AES256" : "KMS"
    kms_key         = var.kms_key_arn
  }

  tags = merge(var.tags, { BoxCleanerEnabled = "false" })

  lifecycle {
    create_before_destroy = true
  }
}

# Without this policy, Lambda adds one itself that lets all functions of the account use the repository.
resource "aws_ecr_repository_policy" "this" {
  count = local.build_image ? 1 : 0

  repository = aws_ecr_repository.this[0].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LambdaECRImageRetrievalPolicy" # the name that Lambda uses
      Effect    = "Allow"
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Principal = { Service = "lambda.amazonaws.com" }
      Condition = { StringLike = { "aws:SourceArn" = [local.function_arn, "${local.function_arn}:*"] } }
    }]
  })

  lifecycle {
    create_before_destroy = true
  }
}

# Each build adds an image. Later rules do not expire images that the tags of an earlier rule select, so
# the first rule keeps the image that the function runs, regardless of the number of newer images.
resource "aws_ecr_lifecycle_policy" "this" {
  count = local.build_image ? 1 : 0

  repository = aws_ecr_repository.this[0].name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Keep the image that the function runs"
        selection = {
          tagStatus      = "tagged"
          tagPatternList = [local.image_tag] # without wildcards: exactly this tag
          countType      = "imageCountMoreThan"
          countNumber    = 1
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Keep the newest ${local.images_kept} images for a rollback"
        selection = {
          tagStatus   = "any"
          countType   = "imageCountMoreThan"
          countNumber = local.images_kept
        }
        action = { type = "expire" }
      },
    ]
  })

  # The previous image may expire only after the function runs the new one.
  depends_on = [aws_lambda_function.this]
}

resource "terraform_data" "image" {
  count = local.build_locally ? 1 : 0

  triggers_replace = [local.image_uri]

  provisioner "local-exec" {
    # Pass arguments instead of a shell command, so that no shell interprets the values of variables.
    # Terraform appends the command, here the build context, as the last argument.
    interpreter = concat(["/bin/sh", "${path.module}/scripts/build-and-push.sh"], local.build_args)
    command     = local.source_dir

    environment = merge(var.build_environment, {
      CONTAINER_ENGINE   = var.container_engine
      IMAGE_URI          = local.image_uri
      IMAGE_ARCHITECTURE = local.image_architecture
      IMAGE_REGION       = local.region
    })
  }

  lifecycle {
    create_before_destroy = true
  }
}
