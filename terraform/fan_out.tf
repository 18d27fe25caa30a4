# A run in steps, for many accounts and regions: a state machine calls the same function for each step. The steps
# leave documents in the module's bucket, and the function itself decides by them whether everything was scanned.

locals {
  runs_prefix = "runs/"
  # By its name, so that the policies are known when planning.
  state_machine_arn = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${var.name}"
  execution_arn     = "arn:${local.partition}:states:${local.region}:${local.account_id}:execution:${var.name}"

  runs_arn = "${local.memory_arn}/${local.runs_prefix}*"

  # What the schedule starts.
  scheduled_arn    = var.fan_out ? local.state_machine_arn : local.function_arn
  scheduled_action = var.fan_out ? "states:StartExecution" : "lambda:InvokeFunction"
}

resource "aws_sfn_state_machine" "this" {
  count = var.fan_out ? 1 : 0

  #checkov:skip=CKV_AWS_284:A trace would show only which step takes how long, which the log of the function has.
  #checkov:skip=CKV_AWS_285:The function logs each step.

  name     = var.name
  role_arn = aws_iam_role.fan_out[0].arn

  definition = templatefile("${path.module}/fan_out.asl.json", {
    name           = var.name
    partition      = local.partition
    function_arn   = local.function_arn
    bucket         = local.memory_bucket
    prefix         = local.runs_prefix
    scans_at_once  = 50
    shares_at_once = 10
  })

  tags = var.tags

  lifecycle {
    precondition {
      condition     = var.memory_enabled
      error_message = "fan_out is true, but memory_enabled is false: the steps of a run leave their documents in the module's bucket. Set memory_enabled = true."
    }

    precondition {
      condition     = var.reserved_concurrent_executions == null ? true : var.reserved_concurrent_executions > 1
      error_message = "fan_out is true, so the function runs many times at once, but reserved_concurrent_executions is ${coalesce(var.reserved_concurrent_executions, "null")}. Set it to null, or to 20 or more."
    }
  }

  # Step Functions checks the permissions of the role when the state machine is created.
  depends_on = [aws_iam_role_policy.fan_out]
}

resource "aws_iam_role" "fan_out" {
  count = var.fan_out ? 1 : 0

  name                 = "${var.name}-${local.region}-steps"
  path                 = var.iam_path
  description          = "Lets Step Functions call the function ${var.name} for each step of a run."
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "states.amazonaws.com" }
      Condition = local.in_this_account_only
    }]
  })

  tags = var.tags

  lifecycle {
    ignore_changes       = [name]
    replace_triggered_by = [terraform_data.name]

    postcondition {
      condition     = self.name == "${var.name}-${local.region}-steps"
      error_message = "The role is \"${self.name}\", so this instance was created in another region than ${local.region}. Destroy it with the region that it was created in first, or use another instance of the module for ${local.region}."
    }
  }
}

resource "aws_iam_role_policy" "fan_out" {
  count = var.fan_out ? 1 : 0

  name = "steps"
  role = aws_iam_role.fan_out[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "CallCleaner"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = local.function_arn
      },
      {
        Sid       = "ReadListsOfRuns"
        Effect    = "Allow"
        Action    = ["s3:GetObject"]
        Resource  = local.runs_arn
        Condition = local.in_this_account
      },
      {
        Sid      = "StartChildren"
        Effect   = "Allow"
        Action   = ["states:StartExecution"]
        Resource = local.state_machine_arn
      },
      {
        # Of a Distributed Map: its children are executions below the name of the state machine.
        Sid      = "WatchChildren"
        Effect   = "Allow"
        Action   = ["states:DescribeExecution", "states:StopExecution"]
        Resource = ["${local.execution_arn}:*", "${local.execution_arn}/*"]
      },
    ]
  })
}
