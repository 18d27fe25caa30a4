# What operators see, and that each part of it can be switched off. Some runs are applied, with a ready
# image, for nothing may be built here: only then are the ARNs known that the dashboard and the topic's
# policy name.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_service" {
    defaults = {
      partition = "aws"
      region    = "eu-central-1"
    }
  }

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:ecr-cleaner" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/ecr-cleaner-eu-central-1" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:ecr-cleaner-alarms" }
  }
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"
}

run "saved_queries" {
  command = plan

  assert {
    condition = output.saved_query_names == [
      "ecr-cleaner/Broken references", "ecr-cleaner/Coverage and guards", "ecr-cleaner/Failures", "ecr-cleaner/Why is this image kept",
      "ecr-cleaner/What would be removed and why", "ecr-cleaner/Runs", "ecr-cleaner/Biggest savings by repository",
    ]
    error_message = "Each question has its query: ${jsonencode(output.saved_query_names)}"
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_query_definition.this : query.log_group_names == tolist([aws_cloudwatch_log_group.this.name])])
    error_message = "They look at the function's own log group."
  }

  assert {
    condition     = length(fileset("queries", "*")) == length(aws_cloudwatch_query_definition.this)
    error_message = "No file in queries/ is forgotten."
  }
}

run "metrics" {
  command = plan

  assert {
    condition     = one(aws_cloudwatch_log_metric_filter.this["ImagesRemoved"].metric_transformation).namespace == "ECRCleaner/ecr-cleaner" && output.metric_namespace == "ECRCleaner/ecr-cleaner"
    error_message = "Metrics of one instance do not mix with those of another."
  }

  assert {
    condition     = aws_cloudwatch_log_metric_filter.this["ImagesRemoved"].pattern == "{ ($.event = \"Run finished\") && ($.removed >= 0) }"
    error_message = "They are taken from the line that ends a run."
  }

  assert {
    condition     = one(aws_cloudwatch_log_metric_filter.this["BytesRemoved"].metric_transformation).value == "$.removed_bytes"
    error_message = "Each is one of its numbers."
  }

  assert {
    condition = (
      aws_cloudwatch_log_metric_filter.none_visited[0].pattern == "{ $.event = \"No repository was visited\" }"
      && one(aws_cloudwatch_log_metric_filter.none_visited[0].metric_transformation).value == "1"
      && one(aws_cloudwatch_log_metric_filter.none_visited[0].metric_transformation).namespace == output.metric_namespace
    )
    error_message = "Runs that visit no repository are counted."
  }
}

run "alarm_of_a_failed_function" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.function_failed[0].namespace == "AWS/Lambda"
      && aws_cloudwatch_metric_alarm.function_failed[0].metric_name == "Errors"
      && aws_cloudwatch_metric_alarm.function_failed[0].dimensions == tomap({ FunctionName = "ecr-cleaner" })
      && aws_cloudwatch_metric_alarm.function_failed[0].threshold == 0
      && aws_cloudwatch_metric_alarm.function_failed[0].treat_missing_data == "notBreaching"
    )
    error_message = "One error is enough."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.function_failed[0].period >= 2 * 900
    error_message = "An error is stamped with the time of the run's start: the period outlasts the longest run."
  }
}

run "alarm_of_failed_deletions" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.deletions_failed[0].namespace == output.metric_namespace
      && contains(keys(aws_cloudwatch_log_metric_filter.this), aws_cloudwatch_metric_alarm.deletions_failed[0].metric_name)
      && aws_cloudwatch_metric_alarm.deletions_failed[0].threshold == 0
    )
    error_message = "One image that could not be removed is enough, by a metric that exists."
  }
}

run "alarm_of_a_run_without_a_visit" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.none_visited[0].namespace == output.metric_namespace
      && aws_cloudwatch_metric_alarm.none_visited[0].metric_name == one(aws_cloudwatch_log_metric_filter.none_visited[0].metric_transformation).name
      && aws_cloudwatch_metric_alarm.none_visited[0].comparison_operator == "GreaterThanThreshold"
      && aws_cloudwatch_metric_alarm.none_visited[0].threshold == 0
      && aws_cloudwatch_metric_alarm.none_visited[0].treat_missing_data == "notBreaching"
    )
    error_message = "One run that visits no repository is enough, by a metric that exists."
  }
}

run "alarm_of_silence" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.silent[0].comparison_operator == "LessThanThreshold"
      && aws_cloudwatch_metric_alarm.silent[0].threshold == 1
      && aws_cloudwatch_metric_alarm.silent[0].evaluation_periods == 2
      && aws_cloudwatch_metric_alarm.silent[0].treat_missing_data == "breaching"
    )
    error_message = "Two days without a run are a fault, and so is having heard nothing at all."
  }

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : query.id => jsonencode([query.expression, query.return_data]) } == {
      runs        = "[\"FILL(invocations, 0)\",true]"
      invocations = "[null,null]"
    }
    error_message = "A day without a run counts as zero runs, not as unknown: ${jsonencode(aws_cloudwatch_metric_alarm.silent[0].metric_query)}"
  }

  assert {
    condition = [for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : jsonencode(one(query.metric)) if query.id == "invocations"] == [jsonencode({
      namespace   = "AWS/Lambda"
      metric_name = "Invocations"
      dimensions  = { FunctionName = "ecr-cleaner" }
      stat        = "Sum"
      period      = 86400
      unit        = null
    })]
    error_message = "What is counted are the runs of the function."
  }
}

run "silence_of_a_rate" {
  command = plan

  variables {
    schedule_expression = "rate(2 hours)"
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 7200
    error_message = "The period is that of the schedule,"
  }
}

run "silence_of_a_fast_rate" {
  command = plan

  variables {
    schedule_expression = "rate(5 minutes)"
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 3600
    error_message = "an hour at least, for a run is reported when it has ended,"
  }
}

run "silence_over_the_weekend" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 ? * MON-FRI *)"
    run_interval_hours  = 72
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 259200
    error_message = "or what the operator says."
  }
}

run "silence_of_a_cron_of_every_day" {
  command = plan

  variables {
    schedule_expression = "cron(30 1,13 ? * * *)"
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 86400
    error_message = "A cron(...) that names no day runs every day, however it is written."
  }
}

run "silence_of_a_long_rate" {
  command = plan

  variables {
    schedule_expression = "rate(84 hours)"
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : one(query.metric).period if query.id == "invocations"]) * aws_cloudwatch_metric_alarm.silent[0].evaluation_periods == 604800
    error_message = "Two periods are as long as CloudWatch looks back."
  }
}

run "silence_too_long_for_cloudwatch" {
  command = plan

  variables {
    schedule_expression = "rate(85 hours)"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.silent]
}

run "silence_of_a_cron_of_weekdays" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 ? * MON *)"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.silent]
}

run "silence_of_a_cron_of_days_of_the_month" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 1 * ? *)"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.silent]
}

run "silence_of_a_cron_of_months" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 * JAN,JUL ? *)"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.silent]
}

run "silence_of_a_cron_of_years" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 * * ? 2030)"
  }

  expect_failures = [aws_cloudwatch_metric_alarm.silent]
}

run "silence_shorter_than_the_gap" {
  command = plan

  variables {
    schedule_expression = "rate(2 days)"
    run_interval_hours  = 47
  }

  expect_failures = [aws_cloudwatch_metric_alarm.silent]
}

run "silence_shorter_than_a_day_of_a_cron_of_one_hour" {
  command = plan

  variables {
    schedule_expression = "cron(0 3 * * ? *)"
    run_interval_hours  = 23
  }

  expect_failures = [aws_cloudwatch_metric_alarm.silent]
}

run "silence_shorter_than_a_day_of_a_cron_of_two_hours" {
  command = plan

  variables {
    schedule_expression = "cron(0 3,15 * * ? *)"
    run_interval_hours  = 12
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 43200
    error_message = "A cron(...) of every day may run more often than once."
  }
}

run "silence_longer_than_the_gap" {
  command = plan

  variables {
    schedule_expression = "rate(2 days)"
    run_interval_hours  = 48
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.silent[0].metric_query : one(query.metric).period if query.id == "invocations"]) == 172800
    error_message = "As long as the gap is long enough."
  }
}

run "weekly_without_the_alarm_on_silence" {
  variables {
    schedule_expression   = "cron(0 3 ? * MON *)"
    silence_alarm_enabled = false
  }

  assert {
    condition     = output.alarm_names == ["ecr-cleaner-function-failed", "ecr-cleaner-deletions-failed", "ecr-cleaner-none-visited"] && length(output.alarm_topic_arns) == 1
    error_message = "A rare schedule keeps the other alarms,"
  }

  assert {
    condition = toset([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.properties.period if widget.type == "metric"
    ]) == toset([86400])
    error_message = "and its dashboard."
  }
}

run "silence_of_a_schedule_that_is_off" {
  command = plan

  variables {
    schedule_enabled = false
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.silent) == 0 && length(output.alarm_names) == 3
    error_message = "That silence is meant."
  }
}

run "own_topic" {
  variables {
    alarm_emails = ["team@example.com"]
    kms_key_arn  = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition = toset(flatten([
      aws_cloudwatch_metric_alarm.function_failed[*].alarm_actions, aws_cloudwatch_metric_alarm.deletions_failed[*].alarm_actions,
      aws_cloudwatch_metric_alarm.none_visited[*].alarm_actions, aws_cloudwatch_metric_alarm.silent[*].alarm_actions, aws_cloudwatch_metric_alarm.silent[*].ok_actions,
    ])) == toset(output.alarm_topic_arns) && length(output.alarm_topic_arns) == 1
    error_message = "Every alarm tells the topic."
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
    error_message = "This account's alarms may publish, and nobody else."
  }

  assert {
    condition     = aws_sns_topic.alarms[0].kms_master_key_id == var.kms_key_arn
    error_message = "The key encrypts what is published."
  }

  assert {
    condition     = aws_sns_topic_subscription.email["team@example.com"].protocol == "email"
    error_message = "The addresses are subscribed."
  }
}

run "given_topics" {
  command = plan

  variables {
    alarm_topic_arns = ["arn:aws:sns:eu-central-1:123456789012:operations", "arn:aws:sns:eu-central-1:123456789012:team"]
  }

  assert {
    condition     = length(aws_sns_topic.alarms) == 0 && length(aws_sns_topic_policy.alarms) == 0
    error_message = "Where there are topics, none is made,"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.silent[0].alarm_actions == toset(var.alarm_topic_arns) && output.alarm_topic_arns == var.alarm_topic_arns
    error_message = "and those are told."
  }
}

run "topic_of_the_same_apply" {
  command = plan

  module {
    source = "./tests/topic_of_the_same_apply"
  }

  assert {
    condition     = output.alarm_names == ["ecr-cleaner-function-failed", "ecr-cleaner-deletions-failed", "ecr-cleaner-none-visited", "ecr-cleaner-silent"]
    error_message = "A topic whose ARN is not known yet is a topic."
  }
}

run "dashboard" {
  assert {
    condition = alltrue([
      for metric in flatten([
        for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : [
          for metric in widget.properties.metrics : { namespace = metric[0], name = metric[1] }
        ] if widget.type == "metric"
      ]) : metric.namespace == "AWS/Lambda" || (metric.namespace == output.metric_namespace && contains(keys(aws_cloudwatch_log_metric_filter.this), metric.name))
    ])
    error_message = "It shows metrics that exist."
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets :
      startswith(widget.properties.query, "SOURCE '/aws/lambda/ecr-cleaner' | f") && !strcontains(widget.properties.query, "#") if widget.type == "log"
    ])
    error_message = "Its queries look at the function's log group, and begin with a command."
  }

  assert {
    condition     = length([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget if widget.type == "log"]) == 6
    error_message = "It answers what the saved queries ask, but for single images."
  }

  assert {
    condition = [
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : length(widget.properties.alarms) if widget.type == "alarm"
    ] == [4]
    error_message = "It shows the alarms."
  }
}

run "nothing_but_the_log" {
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
      && length(output.alarm_names) == 0
      && length(aws_sns_topic.alarms) == 0
      && length(aws_cloudwatch_dashboard.this) == 0
    )
    error_message = "Nothing is made that is switched off,"
  }

  assert {
    condition     = output.metric_namespace == null && length(output.alarm_topic_arns) == 0 && output.dashboard_name == null && length(output.saved_query_names) == 0
    error_message = "and the outputs say so."
  }
}

run "dashboard_alone" {
  variables {
    saved_queries_enabled = false
    metrics_enabled       = false
    alarms_enabled        = false
  }

  assert {
    condition = toset([
      for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.properties.metrics[0][0] if widget.type == "metric"
    ]) == toset(["AWS/Lambda"])
    error_message = "It shows no metric that nobody writes,"
  }

  assert {
    condition     = !contains([for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.type], "alarm")
    error_message = "and no alarms that are not there."
  }
}

run "alarms_without_metrics" {
  command = plan

  variables {
    metrics_enabled = false
  }

  assert {
    condition     = output.alarm_names == ["ecr-cleaner-function-failed", "ecr-cleaner-silent"]
    error_message = "The alarms that need a metric of the log are left out."
  }
}
