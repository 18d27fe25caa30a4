locals {
  # Use the length: it is known at plan time, even if the same apply creates a topic and its ARN is unknown.
  create_alarm_topic = var.alarms_enabled && length(var.alarm_topic_arns) == 0
  alarm_topic_arns   = local.create_alarm_topic ? [aws_sns_topic.alarms[0].arn] : var.alarm_topic_arns

  # What notifies of a failed run. With fan_out, a run can fail in the state machine although no call of the function
  # does, and most failures are seen by both.
  failure_alarm = "${var.name}-${var.fan_out ? "failed" : "function-failed"}"

  # No silence alarm while the schedule is disabled, because silence is expected then.
  silence_watched = var.alarms_enabled && var.silence_alarm_enabled && var.schedule_enabled

  # Seconds between two runs, from run_interval_hours or from the schedule. Null if the schedule is a
  # cron(...) that names a day, month or year: only the others certainly run every day.
  rate       = try(regex("^rate\\((\\d+) (minute|hour|day)s?\\)$", var.schedule_expression), null)
  seconds_of = { minute = 60, hour = 3600, day = 86400 }
  scheduled_period = (
    local.rate != null ? tonumber(local.rate[0]) * local.seconds_of[local.rate[1]] :
    can(regex("^cron\\(\\S+ \\S+ [*?] \\* [*?] \\*\\)$", var.schedule_expression)) ? 86400 : null
  )
  run_period = var.run_interval_hours == null ? local.scheduled_period : var.run_interval_hours * 3600

  # Seconds between two runs, if the schedule fixes them. Null for a daily cron(...) that may run several
  # times a day, because its gaps are shorter than a day.
  least_period = local.rate != null || can(regex("^cron\\(\\d+ \\d+ ", var.schedule_expression)) ? local.scheduled_period : null

  # The alarm evaluates two periods, and CloudWatch evaluates at most seven days.
  longest_run_period = 7 * 86400 / 2
}

# Errors of the function: all failed runs, including timeouts and runs that exceed the memory. Lambda
# records an error at the start time of its run, and a run can take 15 minutes. A period that short
# would be evaluated as OK before the error is recorded.
resource "aws_cloudwatch_metric_alarm" "function_failed" {
  count = var.alarms_enabled ? 1 : 0

  alarm_name          = "${var.name}-function-failed"
  alarm_description   = "A run of ${var.name} failed. The saved query \"${var.name}/${local.queries.failures}\" on ${local.log_group_name} shows the error."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # there is no data between runs
  alarm_actions       = var.fan_out ? [] : local.alarm_topic_arns

  tags = var.tags
}

# Runs in steps that failed, also those in which the function did not: for example, its calls were throttled, or the
# state machine may not read its lists.
resource "aws_cloudwatch_metric_alarm" "steps_failed" {
  count = var.alarms_enabled && var.fan_out ? 1 : 0

  alarm_name          = "${var.name}-steps-failed"
  alarm_description   = "A run of the state machine ${var.name} failed. Its execution shows the step and, if a call of the function failed, so does the saved query \"${var.name}/${local.queries.failures}\" on ${local.log_group_name}."
  namespace           = "AWS/States"
  metric_name         = "ExecutionsFailed"
  dimensions          = { StateMachineArn = aws_sfn_state_machine.this[0].arn }
  statistic           = "Sum"
  period              = 3600 # as of function_failed, so that one failure is one alarm of both
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # there is no data between runs

  tags = var.tags
}

resource "aws_cloudwatch_composite_alarm" "failed" {
  count = var.alarms_enabled && var.fan_out ? 1 : 0

  alarm_name        = local.failure_alarm
  alarm_description = "A run of ${var.name} failed: see ${var.name}-steps-failed and ${var.name}-function-failed."
  alarm_rule = join(" OR ", [
    "ALARM(\"${aws_cloudwatch_metric_alarm.function_failed[0].alarm_name}\")",
    "ALARM(\"${aws_cloudwatch_metric_alarm.steps_failed[0].alarm_name}\")",
  ])
  alarm_actions = local.alarm_topic_arns

  tags = var.tags
}

# Has no actions: a run with failed deletions is a failed run, and one failure must notify only once.
resource "aws_cloudwatch_metric_alarm" "deletions_failed" {
  count = var.alarms_enabled && var.metrics_enabled ? 1 : 0

  alarm_name          = "${var.name}-deletions-failed"
  alarm_description   = "${var.name} could not remove some images. The saved query \"${var.name}/${local.queries.failures}\" on ${local.log_group_name} lists them. Such a run also fails, so ${local.failure_alarm} notifies."
  namespace           = local.metric_namespace
  metric_name         = "DeletionsFailed"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # there is no data between runs

  tags = var.tags
}

# Such a run is not an error, because the next run may have more time. If no run has enough, nothing is ever
# removed.
resource "aws_cloudwatch_metric_alarm" "none_visited" {
  count = var.alarms_enabled && var.metrics_enabled ? 1 : 0

  alarm_name          = "${var.name}-none-visited"
  alarm_description   = "${var.name} visited no repository, because scanning usage took all of its time. Raise timeout (now ${var.timeout} seconds, at most 900) or memory_size (now ${var.memory_size} MB)."
  namespace           = local.metric_namespace
  metric_name         = "RunsWithoutVisit"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # the metric has values only for such runs
  alarm_actions       = local.alarm_topic_arns

  tags = var.tags
}

# A slow scan is not an error, but usage may change while it lasts.
resource "aws_cloudwatch_metric_alarm" "slow_scan" {
  count = var.alarms_enabled && var.metrics_enabled ? 1 : 0

  alarm_name          = "${var.name}-slow-scan"
  alarm_description   = "A scan of ${var.name} took longer than rescan_after_seconds (${var.rescan_after_seconds} seconds). Raise memory_size (now ${var.memory_size} MB), or raise rescan_after_seconds if this is expected."
  namespace           = local.metric_namespace
  metric_name         = "SlowScans"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # the metric has values only for such runs
  alarm_actions       = local.alarm_topic_arns

  tags = var.tags
}

# A function that is not invoked reports no data instead of zero, and CloudWatch uses older data points
# before it applies treat_missing_data: the alarm would go off after about four periods instead of two.
# FILL replaces missing data points with zeros.
#
# Before the first run, this alarm is already on, so it notifies nobody: aws_cloudwatch_composite_alarm.silent does.
resource "aws_cloudwatch_metric_alarm" "no_runs" {
  count = local.silence_watched ? 1 : 0

  alarm_name          = "${var.name}-no-runs"
  alarm_description   = "${var.name} has not run for two periods of its schedule, or never. ${var.name}-silent notifies."
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching" # FILL does nothing if there are no data points at all

  metric_query {
    id          = "runs"
    expression  = "FILL(invocations, 0)"
    label       = "Runs"
    return_data = true
  }

  metric_query {
    id = "invocations"

    metric {
      namespace   = "AWS/Lambda"
      metric_name = "Invocations"
      dimensions  = { FunctionName = aws_lambda_function.this.function_name }
      stat        = "Sum"
      # At least an hour: a run counts at its start time but is reported only after its end.
      period = max(local.run_period, 3600)
    }
  }

  tags = var.tags

  lifecycle {
    precondition {
      condition     = local.run_period != null
      error_message = "schedule_expression is \"${var.schedule_expression}\", and the silence alarm cannot derive the longest gap between two runs from it. Set run_interval_hours to this gap in hours, such as 72 from Friday to Monday. If the gap is longer than ${local.longest_run_period / 3600} hours, set silence_alarm_enabled to false."
    }

    precondition {
      condition     = try(max(local.run_period, coalesce(local.least_period, 0)) <= local.longest_run_period, true)
      error_message = "schedule_expression is \"${var.schedule_expression}\", but the silence alarm supports gaps of at most ${local.longest_run_period / 3600} hours between two runs, because it evaluates two gaps and CloudWatch evaluates at most seven days. For longer gaps, set silence_alarm_enabled to false."
    }

    precondition {
      # The precondition above reports gaps that are too long for the alarm.
      condition     = local.least_period == null ? true : local.least_period > local.longest_run_period || local.run_period >= local.least_period
      error_message = "run_interval_hours is ${coalesce(var.run_interval_hours, "null")}, which is shorter than the gap between two runs of schedule_expression, \"${var.schedule_expression}\": the silence alarm would go off between runs. It must be null, which uses this gap, or at least as long as the gap."
    }
  }
}

# Not an alarm by itself: it has insufficient data until the first run, and is OK forever after.
resource "aws_cloudwatch_metric_alarm" "has_run" {
  count = local.silence_watched ? 1 : 0

  alarm_name          = "${var.name}-has-run"
  alarm_description   = "Has insufficient data until the first run of ${var.name}. Until then, ${var.name}-silent does not go off."
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 0
  treat_missing_data  = "ignore" # keep the state

  tags = var.tags
}

resource "aws_cloudwatch_composite_alarm" "silent" {
  count = local.silence_watched ? 1 : 0

  alarm_name        = "${var.name}-silent"
  alarm_description = "${var.name} has not run for two periods of its schedule."
  alarm_rule = join(" AND NOT ", [
    "ALARM(\"${aws_cloudwatch_metric_alarm.no_runs[0].alarm_name}\")",
    "INSUFFICIENT_DATA(\"${aws_cloudwatch_metric_alarm.has_run[0].alarm_name}\")",
  ])
  alarm_actions = local.alarm_topic_arns
  ok_actions    = local.alarm_topic_arns

  tags = var.tags
}

resource "aws_sns_topic" "alarms" {
  count = local.create_alarm_topic ? 1 : 0

  name = "${var.name}-alarms"
  # No key instead of alias/aws/sns if kms_key_arn is null: CloudWatch may not use that key, and its
  # notifications would be lost.
  kms_master_key_id = var.kms_key_arn

  tags = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  count = local.create_alarm_topic ? 1 : 0

  arn = aws_sns_topic.alarms[0].arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PublishAlarms"
      Effect    = "Allow"
      Action    = ["sns:Publish"]
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Resource  = "arn:${local.partition}:sns:${local.region}:${local.account_id}:${aws_sns_topic.alarms[0].name}"
      # Only alarms in this account may publish.
      Condition = local.in_this_account_only
    }]
  })
}

# SNS sends notifications to an address only after the recipient has confirmed the subscription.
resource "aws_sns_topic_subscription" "email" {
  for_each = local.create_alarm_topic ? toset(var.alarm_emails) : []

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = each.value
}
