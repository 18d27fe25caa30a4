# Saved queries, metrics, alarms and the dashboard, and the variables that turn them off. One run applies
# the module, because the ARN of the topic that it creates is known only after an apply. The runs use an
# existing image, because the tests must not build one.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"

  # It has its own tests.
  memory_enabled = false
}

run "everything_turned_on" {
  command = plan

  # Saved queries
  assert {
    condition = output.saved_query_names == [
      "ecr-cleaner/Broken references", "ecr-cleaner/Coverage and guards", "ecr-cleaner/Failures", "ecr-cleaner/Why is this image kept",
      "ecr-cleaner/What would be removed and why", "ecr-cleaner/Runs", "ecr-cleaner/Biggest savings by repository",
    ]
    error_message = "The saved queries have unexpected names: ${jsonencode(output.saved_query_names)}"
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_query_definition.this : query.log_group_names == tolist([aws_cloudwatch_log_group.this[0].name])])
    error_message = "The saved queries must read the log group of the function."
  }

  assert {
    condition     = length(fileset("queries", "*")) == length(aws_cloudwatch_query_definition.this)
    error_message = "Each file in queries/ must be a saved query."
  }

  # Metrics
  assert {
    condition     = one(aws_cloudwatch_log_metric_filter.this["ImagesRemoved"].metric_transformation).namespace == "ECRCleaner/ecr-cleaner" && output.metric_namespace == "ECRCleaner/ecr-cleaner"
    error_message = "The metric namespace must contain the name of the instance."
  }

  assert {
    condition     = aws_cloudwatch_log_metric_filter.this["ImagesRemoved"].pattern == "{ ($.event = \"Run finished\") && ($.removed >= 0) }"
    error_message = "The metrics must be extracted from the summary line of a run."
  }

  assert {
    condition     = one(aws_cloudwatch_log_metric_filter.this["BytesRemoved"].metric_transformation).value == "$.removed_bytes"
    error_message = "The value of a metric must be a field of that line."
  }

  assert {
    condition = (
      aws_cloudwatch_log_metric_filter.none_visited[0].pattern == "{ $.event = \"No repository was visited\" }"
      && one(aws_cloudwatch_log_metric_filter.none_visited[0].metric_transformation).value == "1"
      && one(aws_cloudwatch_log_metric_filter.none_visited[0].metric_transformation).namespace == output.metric_namespace
    )
    error_message = "Runs that visit no repository must be counted."
  }

  # Alarm on slow scans
  assert {
    condition = (
      aws_cloudwatch_log_metric_filter.slow_scan[0].pattern == "{ $.event = \"Scan takes longer than it may age\" }"
      && aws_cloudwatch_metric_alarm.slow_scan[0].namespace == output.metric_namespace
      && aws_cloudwatch_metric_alarm.slow_scan[0].metric_name == one(aws_cloudwatch_log_metric_filter.slow_scan[0].metric_transformation).name
      && aws_cloudwatch_metric_alarm.slow_scan[0].threshold == 0
    )
    error_message = "The alarm must go off after one slow scan, and use an existing metric."
  }

  # Alarm on failed runs
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.function_failed[0].namespace == "AWS/Lambda"
      && aws_cloudwatch_metric_alarm.function_failed[0].metric_name == "Errors"
      && aws_cloudwatch_metric_alarm.function_failed[0].dimensions == tomap({ FunctionName = "ecr-cleaner" })
      && aws_cloudwatch_metric_alarm.function_failed[0].threshold == 0
      && aws_cloudwatch_metric_alarm.function_failed[0].treat_missing_data == "notBreaching"
    )
    error_message = "The alarm must go off after one failed run."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.function_failed[0].period >= 2 * 900
    error_message = "The period must be longer than the longest run, because Lambda records an error at the start time of the run."
  }

  # Alarm on failed deletions
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.deletions_failed[0].namespace == output.metric_namespace
      && contains(keys(aws_cloudwatch_log_metric_filter.this), aws_cloudwatch_metric_alarm.deletions_failed[0].metric_name)
      && aws_cloudwatch_metric_alarm.deletions_failed[0].threshold == 0
    )
    error_message = "The alarm must go off after one failed deletion, and use an existing metric."
  }

  # Alarm on runs that visit no repository
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.none_visited[0].namespace == output.metric_namespace
      && aws_cloudwatch_metric_alarm.none_visited[0].metric_name == one(aws_cloudwatch_log_metric_filter.none_visited[0].metric_transformation).name
      && aws_cloudwatch_metric_alarm.none_visited[0].comparison_operator == "GreaterThanThreshold"
      && aws_cloudwatch_metric_alarm.none_visited[0].threshold == 0
      && aws_cloudwatch_metric_alarm.none_visited[0].treat_missing_data == "notBreaching"
    )
    error_message = "The alarm must go off after one run that visits no repository, and use an existing metric."
  }

  # Alarm on silence
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.no_runs[0].comparison_operator == "LessThanThreshold"
      && aws_cloudwatch_metric_alarm.no_runs[0].threshold == 1
      && aws_cloudwatch_metric_alarm.no_runs[0].evaluation_periods == 2
      && aws_cloudwatch_metric_alarm.no_runs[0].treat_missing_data == "breaching"
    )
    error_message = "The alarm must go off after two days without a run, and if there is no data."
  }

  assert {
    condition = (
      aws_cloudwatch_composite_alarm.silent[0].alarm_rule == "ALARM(\"ecr-cleaner-no-runs\") AND NOT INSUFFICIENT_DATA(\"ecr-cleaner-has-run\")"
      && aws_cloudwatch_metric_alarm.has_run[0].treat_missing_data == "ignore"
      && length(coalesce(aws_cloudwatch_metric_alarm.no_runs[0].alarm_actions, [])) == 0
      && length(coalesce(aws_cloudwatch_metric_alarm.has_run[0].alarm_actions, [])) == 0
    )
    error_message = "Before the first run, the alarm must not notify."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.has_run[0].comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.has_run[0].threshold == 0
    error_message = "No number of runs may put the alarm that only remembers the first run into the state ALARM."
  }

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : query.id => jsonencode([query.expression, query.return_data]) } == {
      runs        = "[\"FILL(invocations, 0)\",true]"
      invocations = "[null,null]"
    }
    error_message = "A day without a run must count as zero runs, not as missing data: ${jsonencode(aws_cloudwatch_metric_alarm.no_runs[0].metric_query)}"
  }

  assert {
    condition = [for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : jsonencode(one(query.metric)) if query.id == "invocations"] == [jsonencode({
      namespace   = "AWS/Lambda"
      metric_name = "Invocations"
      dimensions  = { FunctionName = "ecr-cleaner" }
      stat        = "Sum"
      period      = 86400
      unit        = null
    })]
    error_message = "The alarm must count the invocations of the function per day."
  }

  # Dashboard

  # A run at midnight, seen at noon, is 12 hours old: the default range of 3 hours would show nothing.
  assert {
    condition = (
      jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).start == "-P7D"
      && jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).periodOverride == "inherit"
    )
    error_message = "The dashboard must open with a range that contains the latest runs, and keep the periods of its widgets."
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets :
      2 * widget.properties.period <= 7 * 86400 && widget.properties.period >= 86400 if widget.type == "metric"
    ])
    error_message = "Each metric widget must have a data point for each run in that range."
  }

  assert {
    condition = alltrue(flatten([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : [
        for metric in widget.properties.metrics : metric[2].stat == (contains(["ImagesRemoved", "BytesRemoved", "DeletionsFailed"], metric[1]) ? "Sum" : "Maximum")
        if metric[0] == output.metric_namespace
      ] if widget.type == "metric"
    ]))
    error_message = "Only what runs do may be summed up, not what they find."
  }

  assert {
    condition = alltrue([
      for metric in flatten([
        for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : [
          for metric in widget.properties.metrics : { namespace = metric[0], name = metric[1] }
        ] if widget.type == "metric"
      ]) : metric.namespace == "AWS/Lambda" || (metric.namespace == output.metric_namespace && contains(keys(aws_cloudwatch_log_metric_filter.this), metric.name))
    ])
    error_message = "The dashboard must show only existing metrics."
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets :
      startswith(widget.properties.query, "SOURCE '/aws/lambda/ecr-cleaner' | f") && !strcontains(widget.properties.query, "#") if widget.type == "log"
    ])
    error_message = "The queries must read the log group of the function and have no comments."
  }

  assert {
    condition     = length([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget if widget.type == "log"]) == 6
    error_message = "The dashboard must show all saved queries except the one for kept images."
  }

  assert {
    condition = [
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : length(widget.properties.alarms) if widget.type == "alarm"
    ] == [5]
    error_message = "The dashboard must show all alarms."
  }
}

run "silence_alarm_with_rate_and_given_topics" {
  command = plan

  variables {
    schedule_expression = "rate(2 hours)"
    alarm_topic_arns    = ["arn:aws:sns:eu-central-1:123456789012:operations", "arn:aws:sns:eu-central-1:123456789012:team"]
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 7200
    error_message = "The period must be the interval of the schedule."
  }

  assert {
    condition     = length(aws_sns_topic.alarms) == 0 && length(aws_sns_topic_policy.alarms) == 0
    error_message = "The module must not create a topic if there are topics."
  }

  assert {
    condition     = aws_cloudwatch_composite_alarm.silent[0].alarm_actions == toset(var.alarm_topic_arns) && output.alarm_topic_arns == var.alarm_topic_arns
    error_message = "The alarms must notify the given topics."
  }
}

run "silence_alarm_with_short_rate_without_metrics" {
  command = plan

  variables {
    schedule_expression = "rate(5 minutes)"
    metrics_enabled     = false
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 3600
    error_message = "The period must be at least an hour, because a run is reported only after its end."
  }

  assert {
    condition     = output.alarm_names == ["ecr-cleaner-function-failed", "ecr-cleaner-silent"]
    error_message = "The alarms that need metrics from the log must be left out."
  }
}

run "silence_alarm_with_run_interval_hours" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 ? * MON-FRI *)"
    run_interval_hours  = 72
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 259200
    error_message = "The period must be run_interval_hours."
  }
}

run "silence_alarm_with_daily_cron" {
  command = plan

  variables {
    schedule_expression = "cron(30 1,13 ? * * *)"
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 86400
    error_message = "The period must be a day, because a cron(...) that names no day runs every day."
  }
}

run "silence_alarm_with_longest_rate" {
  command = plan

  variables {
    schedule_expression = "rate(84 hours)"
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : one(query.metric).period if query.id == "invocations"]) * aws_cloudwatch_metric_alarm.no_runs[0].evaluation_periods == 604800
    error_message = "Two periods must be seven days, the longest time that CloudWatch evaluates."
  }
}

# tests/terraform/test_refusals.py checks other schedules that are rejected, with their messages.
run "silence_alarm_rejects_cron_with_day_of_month" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 1 * ? *)"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.no_runs]
}

run "silence_alarm_rejects_cron_with_months" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 * JAN,JUL ? *)"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.no_runs]
}

run "silence_alarm_rejects_cron_with_year" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 * * ? 2030)"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.no_runs]
}

run "silence_alarm_with_cron_twice_a_day" {
  command = plan

  variables {
    schedule_expression = "cron(0 3,15 * * ? *)"
    run_interval_hours  = 12
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 43200
    error_message = "The period may be shorter than a day, because the cron(...) runs twice a day."
  }
}

run "silence_alarm_with_interval_of_rate" {
  command = plan

  variables {
    schedule_expression = "rate(2 days)"
    run_interval_hours  = 48
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.no_runs[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 172800
    error_message = "The period must be run_interval_hours, which may be as long as the interval of the schedule."
  }
}

run "weekly_schedule_without_silence_alarm" {
  command = plan

  variables {
    schedule_expression   = "cron(0 3 ? * MON *)"
    silence_alarm_enabled = false
  }

  assert {
    condition     = output.alarm_names == ["ecr-cleaner-function-failed", "ecr-cleaner-deletions-failed", "ecr-cleaner-none-visited", "ecr-cleaner-slow-scan"] && length(output.alarm_topic_arns) == 1
    error_message = "A weekly schedule must keep the other alarms."
  }

  assert {
    condition = toset([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.properties.period if widget.type == "metric"
    ]) == toset([86400])
    error_message = "The dashboard must use a period of a day."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).start == "-P5W"
    error_message = "The dashboard must show the latest runs of a weekly or monthly schedule."
  }
}

run "no_silence_alarm_if_schedule_is_disabled" {
  command = plan

  variables {
    schedule_enabled = false
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.no_runs) == 0 && length(output.alarm_names) == 4
    error_message = "A disabled schedule must have no silence alarm."
  }
}

run "own_topic" {
  variables {
    alarm_emails = ["team@example.com"]
    kms_key_arn  = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition = toset(flatten([
      aws_cloudwatch_metric_alarm.function_failed[*].alarm_actions, aws_cloudwatch_metric_alarm.none_visited[*].alarm_actions, aws_cloudwatch_metric_alarm.slow_scan[*].alarm_actions, aws_cloudwatch_composite_alarm.silent[*].alarm_actions, aws_cloudwatch_composite_alarm.silent[*].ok_actions,
    ])) == toset(output.alarm_topic_arns) && length(output.alarm_topic_arns) == 1
    error_message = "All alarms except the one on failed deletions must notify the topic."
  }

  assert {
    condition     = length(coalesce(aws_cloudwatch_metric_alarm.deletions_failed[0].alarm_actions, [])) == 0
    error_message = "A run with failed deletions is a failed run, so only the alarm on failed runs may notify."
  }

  assert {
    condition = jsondecode(aws_sns_topic_policy.alarms[0].policy).Statement == [{
      Sid       = "PublishAlarms"
      Effect    = "Allow"
      Action    = ["sns:Publish"]
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Resource  = "arn:aws:sns:eu-central-1:123456789012:ecr-cleaner-alarms"
      Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    }]
    error_message = "Only alarms in this account may publish to the topic."
  }

  assert {
    condition     = aws_sns_topic.alarms[0].kms_master_key_id == var.kms_key_arn
    error_message = "The key must encrypt the topic."
  }

  assert {
    condition     = aws_sns_topic_subscription.email["team@example.com"].protocol == "email"
    error_message = "The addresses must be subscribed to the topic."
  }
}

run "topic_of_the_same_apply" {
  command = plan

  module {
    source = "./tests/topic_of_the_same_apply"
  }

  assert {
    condition     = output.alarm_names == ["ecr-cleaner-function-failed", "ecr-cleaner-deletions-failed", "ecr-cleaner-none-visited", "ecr-cleaner-slow-scan", "ecr-cleaner-silent"]
    error_message = "The module must accept a topic whose ARN is unknown at plan time."
  }
}

run "everything_turned_off" {
  command = plan

  variables {
    saved_queries_enabled = false
    metrics_enabled       = false
    alarms_enabled        = false
    dashboard_enabled     = false
  }

  assert {
    condition = (
      length(aws_cloudwatch_query_definition.this) == 0
      && length(aws_cloudwatch_log_metric_filter.this) == 0
      && length(aws_cloudwatch_log_metric_filter.none_visited) == 0
      && length(aws_cloudwatch_log_metric_filter.slow_scan) == 0
      && length(output.alarm_names) == 0
      && length(aws_sns_topic.alarms) == 0
      && length(aws_cloudwatch_dashboard.this) == 0
    )
    error_message = "The module must not create parts that are turned off."
  }

  assert {
    condition     = output.metric_namespace == null && length(output.alarm_topic_arns) == 0 && output.dashboard_name == null && length(output.saved_query_names) == 0
    error_message = "The outputs of parts that are turned off must be empty."
  }
}

run "only_dashboard" {
  command = plan

  variables {
    saved_queries_enabled = false
    metrics_enabled       = false
    alarms_enabled        = false
  }

  assert {
    condition = toset([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.properties.metrics[0][0] if widget.type == "metric"
    ]) == toset(["AWS/Lambda"])
    error_message = "The dashboard must show only metrics of Lambda."
  }

  assert {
    condition     = !contains([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.type], "alarm")
    error_message = "The dashboard must not show alarms."
  }
}
