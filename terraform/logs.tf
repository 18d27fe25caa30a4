# Ours and not the one that Lambda would make, so that retention, key and destruction are settled.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:How long lines are kept is the operator's choice; the report of a night is of little use a year later.

  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = var.tags
}
