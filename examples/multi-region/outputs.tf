output "functions" {
  description = "ARN of the Lambda function in each region."
  value = {
    eu = module.eu.function_arn
    us = module.us.function_arn
  }
}

output "dashboards" {
  description = "Name of the CloudWatch dashboard of each region."
  value = {
    eu = module.eu.dashboard_name
    us = module.us.dashboard_name
  }
}
