# The module with an image whose name is known only after the apply.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

resource "aws_ecr_repository" "released" {
  #checkov:skip=CKV_AWS_136:This repository exists only in a test.
  #checkov:skip=CKV_AWS_163:This repository exists only in a test.

  name                 = "tools/ecr-cleaner"
  image_tag_mutability = "IMMUTABLE"
}

module "ecr_cleaner" {
  source = "../.."

  build_image = false
  image_uri   = "${aws_ecr_repository.released.repository_url}:1.0.0"
}

output "repository_name" {
  description = "Repository that the module creates."
  value       = module.ecr_cleaner.repository_name
}
