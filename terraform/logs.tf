locals {
  default_log_group_name = coalesce(var.log_group_name, "/aws/lambda/${var.name}")
  log_group_name         = var.create_log_group ? aws_cloudwatch_log_group.this[0].name : local.default_log_group_name
}

# The module creates the log group before Lambda would, to control its retention, key and deletion.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:The operator chooses the retention, and a report is of little use after a year.

  count = var.create_log_group ? 1 : 0

  name              = local.default_log_group_name
  log_group_class   = var.log_group_class == "STANDARD" ? null : var.log_group_class
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  skip_destroy      = var.log_group_skip_destroy

  tags = var.tags
}
