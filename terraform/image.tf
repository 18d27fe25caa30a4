locals {
  build_image = var.image_uri == null
  source_dir  = "${path.module}/../lambda_src"

  # All files that ship or decide what ships, and nothing that a test run or an editor leaves behind.
  source_files = sort(concat(
    [".dockerignore", "Dockerfile", "requirements.txt"],
    [
      for file in fileset(local.source_dir, "ecr_cleaner/**") : file
      if !strcontains(file, "__pycache__/") && !endswith(file, ".pyc")
    ],
  ))

  # The tag names the sources: unchanged sources plan no change, changed ones build and deploy.
  image_tag = substr(sha256(jsonencode({
    architecture     = var.architecture
    extra_build_args = var.extra_build_args
    kms_key_arn      = var.kms_key_arn # another key is another repository, with another image in it
    files            = { for file in local.source_files : file => filesha256("${local.source_dir}/${file}") }
  })), 0, 20)

  images_kept = 10

  # What the module would destroy: the repository that it has made where image_uri was null before.
  own_repository = [local.account_id, local.region, var.name]
  image_is_own   = try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([^.]+)\\.[^/]+/([^:@]+)", var.image_uri), null) == local.own_repository

  image_uri = local.build_image ? "${aws_ecr_repository.this[0].repository_url}:${local.image_tag}" : var.image_uri
}

# Opted out in so many words, for the provider's default tags may opt every repository in: a cleaner
# whose source "lambda" is waived would not see that its own image is in use.
resource "aws_ecr_repository" "this" {
  count = local.build_image ? 1 : 0

  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # its images are built from here and can be built again

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = var.kms_key_arn == null ? "AES256" : "KMS"
    kms_key         = var.kms_key_arn
  }

  tags = merge(var.tags, { BoxCleanerEnabled = "false" })
}

# Each build leaves an image behind. An image that a rule's tags select is beyond the reach of the rules
# after it, so the first rule keeps the image that runs, however many newer ones there are.
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
          tagPatternList = [local.image_tag] # no wildcard: this very tag
          countType      = "imageCountMoreThan"
          countNumber    = 1
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Keep the newest ${local.images_kept} to go back to"
        selection = {
          tagStatus   = "any"
          countType   = "imageCountMoreThan"
          countNumber = local.images_kept
        }
        action = { type = "expire" }
      },
    ]
  })

  # The image that ran until now may go only once the function runs the new one.
  depends_on = [aws_lambda_function.this]
}

resource "terraform_data" "image" {
  count = local.build_image ? 1 : 0

  triggers_replace = [local.image_uri]

  provisioner "local-exec" {
    # Arguments and not a shell's line: nothing that a variable holds is interpreted. Terraform
    # appends the command, here the build's context, as the last argument.
    interpreter = concat(["/bin/sh", "${path.module}/scripts/build-and-push.sh"], var.extra_build_args)
    command     = local.source_dir

    environment = merge(var.build_environment, {
      CONTAINER_ENGINE   = var.container_engine
      IMAGE_URI          = local.image_uri
      IMAGE_ARCHITECTURE = var.architecture == "x86_64" ? "amd64" : var.architecture
      IMAGE_REGION       = local.region
    })
  }
}
