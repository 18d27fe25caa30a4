# Runs in steps: the state machine, its role, and what the function and the schedule get for it.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"

  saved_queries_enabled = false
  metrics_enabled       = false
  alarms_enabled        = false
  dashboard_enabled     = false
}

run "by_default_there_are_no_steps" {
  assert {
    condition = alltrue([
      length(aws_sfn_state_machine.this) == 0,
      length(aws_iam_role.fan_out) == 0,
      !contains(keys(local.environment), "RUNS"),
      length(one(aws_s3_bucket_lifecycle_configuration.memory).rule) == 2,
      !strcontains(jsonencode(local.memory_statements), "runs/"),
    ])
    error_message = "Without fan_out, the module must create nothing for it."
  }

  assert {
    condition     = one(aws_scheduler_schedule.this.target).arn == aws_lambda_function.this.arn
    error_message = "The schedule must start the function."
  }
}

run "steps" {
  variables {
    fan_out              = true
    max_scan_age_minutes = 20
  }

  assert {
    condition = alltrue([
      local.environment["RUNS"] == "s3://ecr-cleaner-123456789012-eu-central-1/runs/",
      local.environment["MAX_SCAN_AGE_MINUTES"] == "20",
    ])
    error_message = "The function must know where the steps leave their documents, and how old scans may be."
  }

  assert {
    condition     = keys(jsondecode(one(aws_sfn_state_machine.this).definition).States) == ["Again", "Clean", "Gather", "IsConfirmed", "Plan", "Report", "Scan"]
    error_message = "The definition must have every step."
  }

  assert {
    condition = alltrue([
      for name, state in jsondecode(one(aws_sfn_state_machine.this).definition).States :
      state.Type != "Task" || try(state.Parameters.FunctionName, "") == "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner"
    ])
    error_message = "Every task must call the function."
  }

  assert {
    condition     = jsondecode(one(aws_sfn_state_machine.this).definition).States.Scan.ItemReader.Parameters == { Bucket = "ecr-cleaner-123456789012-eu-central-1", "Key.$" = "States.Format('runs/{}/targets.json', $.run)" }
    error_message = "The targets must be those that the function froze in the module's bucket."
  }

  assert {
    condition = alltrue([
      one(aws_scheduler_schedule.this.target).arn == one(aws_sfn_state_machine.this).arn,
      jsondecode(aws_iam_role_policy.schedule.policy).Statement[0].Action == ["states:StartExecution"],
      jsondecode(aws_iam_role_policy.schedule.policy).Statement[0].Resource == "arn:aws:states:eu-central-1:123456789012:stateMachine:ecr-cleaner",
    ])
    error_message = "The schedule must start the state machine, and nothing else."
  }

  assert {
    condition = { for one in jsondecode(one(aws_iam_role_policy.fan_out).policy).Statement : join(",", one.Action) => one.Resource } == {
      "lambda:InvokeFunction"                         = "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner"
      "s3:GetObject"                                  = "arn:aws:s3:::ecr-cleaner-123456789012-eu-central-1/runs/*"
      "states:DescribeExecution,states:StopExecution" = ["arn:aws:states:eu-central-1:123456789012:execution:ecr-cleaner:*", "arn:aws:states:eu-central-1:123456789012:execution:ecr-cleaner/*"]
      "states:StartExecution"                         = "arn:aws:states:eu-central-1:123456789012:stateMachine:ecr-cleaner"
    }
    error_message = "The role of the state machine must be able to do exactly this."
  }

  assert {
    condition     = contains(local.memory_statements[0].Resource, "arn:aws:s3:::ecr-cleaner-123456789012-eu-central-1/runs/*")
    error_message = "The function must be able to read and write the documents of its steps."
  }

  assert {
    condition = [
      for rule in one(aws_s3_bucket_lifecycle_configuration.memory).rule :
      one(rule.expiration).days if rule.id == "expire-runs" && one(rule.filter).prefix == "runs/"
    ] == [7]
    error_message = "The documents of runs must expire."
  }
}

# An execution may fail although no call of the function does, and one failure must notify only once.
run "failed_steps_notify" {
  command = plan

  variables {
    fan_out          = true
    alarms_enabled   = true
    metrics_enabled  = true
    alarm_topic_arns = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
  }

  assert {
    condition = alltrue([
      one(aws_cloudwatch_metric_alarm.steps_failed).namespace == "AWS/States",
      one(aws_cloudwatch_metric_alarm.steps_failed).metric_name == "ExecutionsFailed",
      one(aws_cloudwatch_metric_alarm.steps_failed).threshold == 0,
      one(aws_cloudwatch_composite_alarm.failed).alarm_rule == "ALARM(\"ecr-cleaner-function-failed\") OR ALARM(\"ecr-cleaner-steps-failed\")",
    ])
    error_message = "A failed execution must be an alarm."
  }

  assert {
    condition = alltrue([
      one(aws_cloudwatch_composite_alarm.failed).alarm_actions == toset(var.alarm_topic_arns),
      length(coalesce(one(aws_cloudwatch_metric_alarm.steps_failed).alarm_actions, [])) == 0,
      length(coalesce(one(aws_cloudwatch_metric_alarm.function_failed).alarm_actions, [])) == 0,
      endswith(one(aws_cloudwatch_metric_alarm.deletions_failed).alarm_description, "so ecr-cleaner-failed notifies."),
    ])
    error_message = "Only the alarm on both must notify."
  }

  assert {
    condition     = length(setintersection(output.alarm_names, ["ecr-cleaner-failed", "ecr-cleaner-steps-failed"])) == 2
    error_message = "The output must name the alarms of the steps."
  }
}

run "steps_need_the_bucket" {
  command = plan

  variables {
    fan_out        = true
    memory_enabled = false
  }

  expect_failures = [aws_sfn_state_machine.this]
}

run "steps_are_called_at_once" {
  command = plan

  variables {
    fan_out                        = true
    reserved_concurrent_executions = 1
  }

  expect_failures = [aws_sfn_state_machine.this]
}
