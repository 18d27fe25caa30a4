output "function_name" {
  description = "Name of the Lambda function, for manual invocations."
  value       = module.ecr_cleaner.function_name
}

output "log_group_name" {
  description = "Name of the log group that contains the reports."
  value       = module.ecr_cleaner.log_group_name
}
