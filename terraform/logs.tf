# The module creates the log group before Lambda would, to control its retention, key and deletion.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:The operator chooses the retention, and a report is of little use after a year.

  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = var.tags
}
