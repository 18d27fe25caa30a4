# The module with an SNS topic whose ARN is known only after the apply.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

variable "image_uri" {
  description = "Existing image, so that the module builds none."
  type        = string
}

resource "aws_sns_topic" "operations" {
  name              = "operations"
  kms_master_key_id = "alias/aws/sns"
}

module "ecr_cleaner" {
  source = "../.."

  image_uri        = var.image_uri
  alarm_topic_arns = [aws_sns_topic.operations.arn]

  approval           = true
  approval_topic_arn = aws_sns_topic.operations.arn
}

output "alarm_names" {
  description = "Names of the alarms."
  value       = module.ecr_cleaner.alarm_names
}
