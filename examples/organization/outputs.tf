output "cleaner_role_arn" {
  description = "ARN of the role of the cleaner, for the parameter CleanerRoleArns of the StackSet."
  value       = module.ecr_cleaner.role_arn
}

output "scan_role_arn" {
  description = "ARN of the scan role in the member account."
  value       = module.scan_role.role_arn
}
