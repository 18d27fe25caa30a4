output "function_name" {
  description = "Name of the Lambda function."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "ARN of the Lambda function."
  value       = aws_lambda_function.this.arn
}

output "environment" {
  description = "Environment variables of the function."
  value       = local.environment
}

output "role_name" {
  description = "Name of the function's IAM role."
  value       = local.role_name
}

output "role_arn" {
  description = "ARN of the function's IAM role."
  value       = local.role_arn
}

output "role_policy" {
  description = "JSON document of the permissions that the function needs. If create_role is false, attach it to the role."
  value       = local.function_policy
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
  description = "Name of the log group of the function."
  value       = local.log_group_name
}

output "log_group_arn" {
  description = "ARN of the log group of the function."
  value       = local.log_group_arn
}

output "image_uri" {
  description = "Image that the function runs. Do not run it elsewhere if it is in the repository of the module, because older images expire there."
  value       = local.image_uri
}

output "image_tag" {
  description = "Tag of the image that the module builds, a hash of its sources. Null if image_uri is set."
  value       = local.build_image ? local.image_tag : null
}

output "repository_name" {
  description = "Name of the ECR repository of the image that the module builds. Null if image_uri is set."
  value       = one(aws_ecr_repository.this[*].name)
}

output "repository_url" {
  description = "URL of the ECR repository of the image that the module builds. Null if image_uri is set. Do not run its images elsewhere, because older images expire."
  value       = one(aws_ecr_repository.this[*].repository_url)
}

output "build_project_name" {
  description = "Name of the CodeBuild project that builds the image. Null unless build_with is \"codebuild\" and the module builds the image."
  value       = one(aws_codebuild_project.build[*].name)
}

output "metric_namespace" {
  description = "CloudWatch namespace of the metrics that are extracted from the log. Null if metrics_enabled is false."
  value       = var.metrics_enabled ? local.metric_namespace : null
}

output "alarm_names" {
  description = "Names of the alarms that show problems."
  value = concat(
    aws_cloudwatch_composite_alarm.failed[*].alarm_name,
    aws_cloudwatch_metric_alarm.function_failed[*].alarm_name,
    aws_cloudwatch_metric_alarm.steps_failed[*].alarm_name,
    aws_cloudwatch_metric_alarm.deletions_failed[*].alarm_name,
    aws_cloudwatch_metric_alarm.none_visited[*].alarm_name,
    aws_cloudwatch_metric_alarm.slow_scan[*].alarm_name,
    aws_cloudwatch_composite_alarm.silent[*].alarm_name,
  )
}

output "alarm_topic_arns" {
  description = "ARNs of the SNS topics that the alarms notify. Empty if alarms_enabled is false."
  value       = var.alarms_enabled ? local.alarm_topic_arns : []
}

output "state_machine_arn" {
  description = "ARN of the state machine that runs the steps. Null if fan_out is false."
  value       = one(aws_sfn_state_machine.this[*].arn)
}

output "plans_url" {
  description = "Where the function writes the plan of each run and its page, as s3://BUCKET/PREFIX/. Null if memory_enabled is false."
  value       = var.memory_enabled ? local.plans_url : null
}

output "saved_query_names" {
  description = "Names of the saved queries in CloudWatch Logs Insights."
  value       = [for query in aws_cloudwatch_query_definition.this : query.name]
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard. Null if dashboard_enabled is false."
  value       = one(aws_cloudwatch_dashboard.this[*].dashboard_name)
}
