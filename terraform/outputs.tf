output "function_name" {
  description = "Name of the Lambda function."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "ARN of the Lambda function."
  value       = aws_lambda_function.this.arn
}

output "environment" {
  description = "Settings of the function, as environment variables."
  value       = local.environment
}

output "role_name" {
  description = "Name of the function's IAM role."
  value       = aws_iam_role.function.name
}

output "role_arn" {
  description = "ARN of the function's IAM role."
  value       = aws_iam_role.function.arn
}

output "schedule_name" {
  description = "Name of the schedule in EventBridge Scheduler."
  value       = aws_scheduler_schedule.this.name
}

output "schedule_arn" {
  description = "ARN of the schedule in EventBridge Scheduler."
  value       = aws_scheduler_schedule.this.arn
}

output "log_group_name" {
  description = "Name of the log group that the function writes to."
  value       = aws_cloudwatch_log_group.this.name
}

output "log_group_arn" {
  description = "ARN of the log group that the function writes to."
  value       = aws_cloudwatch_log_group.this.arn
}

output "image_uri" {
  description = "Image that the function runs."
  value       = local.image_uri
}

output "image_tag" {
  description = "Hash of the sources of the module's own image, null if image_uri was given."
  value       = local.build_image ? local.image_tag : null
}

output "repository_name" {
  description = "Name of the ECR repository of the module's own image, null if image_uri was given."
  value       = one(aws_ecr_repository.this[*].name)
}

output "repository_url" {
  description = "URL of the ECR repository of the module's own image, null if image_uri was given."
  value       = one(aws_ecr_repository.this[*].repository_url)
}
