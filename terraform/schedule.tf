resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:The schedule contains no confidential data, only the time and the function to start.

  name        = var.name
  description = "Starts the function ${var.name}."
  state       = var.schedule_enabled ? "ENABLED" : "DISABLED"

  schedule_expression          = var.schedule_expression
  schedule_expression_timezone = var.schedule_timezone

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = var.fan_out ? aws_sfn_state_machine.this[0].arn : aws_lambda_function.this.arn
    role_arn = aws_iam_role.schedule.arn

    retry_policy {
      maximum_retry_attempts = 0
    }
  }

  # EventBridge Scheduler needs the permissions of the role when the schedule is created.
  depends_on = [aws_iam_role_policy.schedule]
}

resource "aws_iam_role" "schedule" {
  name                 = "${var.name}-${local.region}-schedule"
  path                 = var.iam_path
  description          = "Lets EventBridge Scheduler start the function ${var.name}."
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      # Only schedules in this account may assume the role.
      Condition = local.in_this_account_only
    }]
  })

  tags = var.tags

  lifecycle {
    ignore_changes       = [name]
    replace_triggered_by = [terraform_data.name]

    postcondition {
      condition     = self.name == "${var.name}-${local.region}-schedule"
      error_message = "The role is \"${self.name}\", so this instance was created in another region than ${local.region}. Destroy it with the region that it was created in first, or use another instance of the module for ${local.region}."
    }
  }
}

resource "aws_iam_role_policy" "schedule" {
  name = "start"
  role = aws_iam_role.schedule.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "StartCleaner"
      Effect   = "Allow"
      Action   = [local.scheduled_action]
      Resource = local.scheduled_arn
    }]
  })
}
