output "function_name" {
  description = "Name of the Lambda function."
  value       = module.ecr_cleaner.function_name
}

output "role_arn" {
  description = "ARN of the function's IAM role."
  value       = module.ecr_cleaner.role_arn
}

output "environment" {
  description = "Environment variables of the function."
  value       = module.ecr_cleaner.environment
}

output "image_uri" {
  description = "Image that the function runs."
  value       = module.ecr_cleaner.image_uri
}

output "log_group_name" {
  description = "Name of the log group that contains the reports."
  value       = module.ecr_cleaner.log_group_name
}

output "plans_url" {
  description = "Where the function writes the plan of each run and its page."
  value       = module.ecr_cleaner.plans_url
}

output "failed_runs_topic_arn" {
  description = "ARN of the SNS topic that receives failed runs."
  value       = aws_sns_topic.failed_runs.arn
}

output "alarm_topic_arns" {
  description = "ARNs of the SNS topics that the alarms notify."
  value       = module.ecr_cleaner.alarm_topic_arns
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard."
  value       = module.ecr_cleaner.dashboard_name
}
