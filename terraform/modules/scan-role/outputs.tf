output "role_arn" {
  description = "ARN of the role."
  value       = aws_iam_role.scan.arn
}

output "scan_role_name" {
  description = "Name of the role with its path: the value of scan_role_name of the cleaner."
  value       = "${trimprefix(var.path, "/")}${var.name}"
}
