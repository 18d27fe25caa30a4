# What is named

variable "name" {
  description = "Name of the function and prefix of everything else that the module makes. Give each instance in an account and region its own."
  type        = string
  default     = "ecr-cleaner"
  nullable    = false

  validation {
    # 32 leaves room for the region and a suffix in the 64 characters of an IAM role's name.
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name))
    error_message = "name is \"${var.name}\"; allowed are 2 to 32 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen."
  }
}

variable "tags" {
  description = "Tags of every resource that the module makes."
  type        = map(string)
  default     = {}
  nullable    = false
}

# What is kept

variable "dry_run" {
  description = "Whether the cleaner only reports. While true, IAM denies the function every deletion and archiving as well."
  type        = bool
  default     = true
  nullable    = false
}

variable "default_keep_days" {
  description = "Images younger than this many days are kept. The repository tag BoxCleanerKeepDays and repository_rules override it."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = floor(var.default_keep_days) == var.default_keep_days && var.default_keep_days >= 0 && var.default_keep_days <= 36500
    error_message = "default_keep_days is ${var.default_keep_days}; allowed are whole days from 0 to 36500."
  }
}

variable "keep_count" {
  description = "The newest this many unused images of a repository are kept whatever their age. The repository tag BoxCleanerKeepCount and repository_rules override it."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = floor(var.keep_count) == var.keep_count && var.keep_count >= 0 && var.keep_count <= 100000
    error_message = "keep_count is ${var.keep_count}; allowed are whole numbers from 0 to 100000."
  }
}

variable "keep_tag_patterns" {
  description = "Shell-style patterns, such as \"v*\" or \"release-?\". An image with any tag that matches any of them is kept."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    # The program takes the patterns as one comma-separated setting.
    condition     = alltrue([for pattern in var.keep_tag_patterns : can(regex("^[^,\\s]+$", pattern))])
    error_message = "keep_tag_patterns is ${jsonencode(var.keep_tag_patterns)}; each pattern needs at least one character, and none may hold a comma or white space."
  }
}

variable "keep_pulled_days" {
  description = "Images that were pulled within this many days are kept, even if no consumer is known. 0 switches the rule off, null takes the days that the repository's images are kept for."
  type        = number
  default     = null

  validation {
    condition     = var.keep_pulled_days == null ? true : floor(var.keep_pulled_days) == var.keep_pulled_days && var.keep_pulled_days >= 0 && var.keep_pulled_days <= 36500
    error_message = "keep_pulled_days is ${coalesce(var.keep_pulled_days, "null")}; allowed are null and whole days from 0 to 36500."
  }
}

variable "repository_rules" {
  description = <<-EOT
    Settings for some repositories, the first rule that matches a repository's name applies. Each rule is an object of
    `repositories` (list of shell-style patterns of names, required), `keep_days`, `keep_count`, `keep_pulled_days` (numbers),
    `keep_tag_patterns` (list of strings) and `waived_guards` (see that variable; those of a rule add to it); what a rule leaves
    out is taken from the other variables.
  EOT
  # Not list(object(...)): Terraform drops attributes that such a type does not name, so a misspelt
  # keep_days would silently remove images that it was meant to keep.
  type     = any
  default  = []
  nullable = false

  validation {
    condition     = can([for rule in var.repository_rules : keys(rule)]) && !can(keys(var.repository_rules))
    error_message = "repository_rules must be a list of objects."
  }

  validation {
    condition = alltrue(flatten([
      for rule in try([for rule in var.repository_rules : rule], []) : [
        for key in try(keys(rule), []) : contains(["repositories", "keep_days", "keep_count", "keep_tag_patterns", "keep_pulled_days", "waived_guards"], key)
      ]
    ]))
    error_message = "repository_rules has an attribute that does not exist: ${join(", ", distinct(flatten([
      for rule in try([for rule in var.repository_rules : rule], []) : [
        for key in try(keys(rule), []) : key if !contains(["repositories", "keep_days", "keep_count", "keep_tag_patterns", "keep_pulled_days", "waived_guards"], key)
      ]
    ])))}. Allowed are repositories, keep_days, keep_count, keep_tag_patterns, keep_pulled_days and waived_guards."
  }

  validation {
    condition = alltrue([
      for rule in try([for rule in var.repository_rules : rule], []) :
      try(length(rule.repositories) > 0 && alltrue([for pattern in rule.repositories : can(regex("^\\S+$", pattern))]) && !can(tostring(rule.repositories)), false)
    ])
    error_message = "repository_rules: every rule needs repositories, a list of at least one pattern of repository names, such as [\"team-a/*\"]."
  }

  validation {
    condition = alltrue([
      for rule in try([for rule in var.repository_rules : rule], []) :
      try(rule.keep_tag_patterns, null) == null ? true : try(alltrue([for pattern in rule.keep_tag_patterns : can(regex("^[^,\\s]+$", pattern))]) && !can(tostring(rule.keep_tag_patterns)), false)
    ])
    error_message = "repository_rules: keep_tag_patterns must be a list of patterns without comma or white space, such as [\"v*\"]."
  }

  validation {
    condition = alltrue([
      for rule in try([for rule in var.repository_rules : rule], []) :
      try(rule.waived_guards, null) == null ? true : try(length(setsubtract(rule.waived_guards, local.guards)) == 0, false)
    ])
    error_message = "repository_rules: waived_guards must be a list, in which ${join(", ", local.guards)} are allowed."
  }

  validation {
    condition = alltrue(flatten([
      for rule in try([for rule in var.repository_rules : rule], []) : [
        for key, highest in { keep_days = 36500, keep_count = 100000, keep_pulled_days = 36500 } :
        try(rule[key], null) == null ? true : try(floor(rule[key]) == tonumber(rule[key]) && rule[key] >= 0 && rule[key] <= highest, false)
      ]
    ]))
    error_message = "repository_rules: keep_days and keep_pulled_days must be whole days from 0 to 36500, keep_count a whole number from 0 to 100000."
  }
}

# What is done, and how much of it

variable "action" {
  description = "What happens to a removable image: \"delete\", or \"archive\", which moves it to ECR's archive storage class, from where it can be restored."
  type        = string
  default     = "delete"
  nullable    = false

  validation {
    condition     = contains(["delete", "archive"], var.action)
    error_message = "action is \"${var.action}\"; allowed are delete and archive."
  }
}

variable "archive_days" {
  description = "Archived images are deleted for good this many days after they were archived. Null: never."
  type        = number
  default     = null

  validation {
    condition     = var.archive_days == null ? true : floor(var.archive_days) == var.archive_days && var.archive_days >= 0 && var.archive_days <= 36500
    error_message = "archive_days is ${coalesce(var.archive_days, "null")}; allowed are null and whole days from 0 to 36500."
  }
}

variable "max_deletions" {
  description = "Upper bound of the images that a run deletes or archives."
  type        = number
  default     = 10000
  nullable    = false

  validation {
    condition     = floor(var.max_deletions) == var.max_deletions && var.max_deletions >= 1 && var.max_deletions <= 1000000
    error_message = "max_deletions is ${var.max_deletions}; allowed are whole numbers from 1 to 1000000."
  }
}

variable "expect_no_usage" {
  description = "Whether deleting is fine although not one image is in use in the whole account, which otherwise counts as a sign of a wrong region or a missing permission."
  type        = bool
  default     = false
  nullable    = false
}

variable "rescan_after_seconds" {
  description = "What is in use is looked up again before a sweep if the last look is older than this many seconds."
  type        = number
  default     = 180
  nullable    = false

  validation {
    condition     = floor(var.rescan_after_seconds) == var.rescan_after_seconds && var.rescan_after_seconds >= 0 && var.rescan_after_seconds <= 900
    error_message = "rescan_after_seconds is ${var.rescan_after_seconds}; allowed are whole seconds from 0 to 900."
  }
}

variable "waived_sources" {
  description = "Usage sources that are not scanned and whose permissions are left out. Images that only they use are removed: waive what the account does not have, and not `lambda` while image_uri is in an opted-in repository."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.waived_sources, keys(local.permissions.usage))) == 0
    error_message = "waived_sources is ${jsonencode(var.waived_sources)}; allowed are ${join(", ", keys(local.permissions.usage))}."
  }
}

variable "waived_guards" {
  description = <<-EOT
    Guards that no repository is held back by, and whose permissions are left out. A guard stands where an image may have
    consumers that no scan of this account can show: `eks-clusters` (EKS clusters exist in the region), `cross-account-pull` (a
    policy lets others pull) and `delete-replication` (a replication rule would carry the deletion elsewhere).
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.waived_guards, local.guards)) == 0
    error_message = "waived_guards is ${jsonencode(var.waived_guards)}; allowed are ${join(", ", local.guards)}."
  }
}

variable "task_definition_revisions" {
  description = "The newest this many active revisions of every ECS task definition family count as in use, even if nothing runs them now."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = floor(var.task_definition_revisions) == var.task_definition_revisions && var.task_definition_revisions >= 0 && var.task_definition_revisions <= 100
    error_message = "task_definition_revisions is ${var.task_definition_revisions}; allowed are whole numbers from 0 to 100."
  }
}

variable "reference_lists" {
  description = "Lists of images in use outside of AWS, in an object (s3://BUCKET/KEY) or an SSM parameter (ssm:NAME or its ARN): a JSON array, one reference a line, or the output of `kubectl get pods -A -o json`. A list that cannot be read, is empty, old or names no image of this registry ends the run. Options follow a question mark: `?empty=allowed` if it may be empty, `?owner=ACCOUNT` if the bucket belongs to another account."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    # One setting separated by commas, and each list a single resource of the role's policy: no wildcards.
    condition = alltrue([
      for list in var.reference_lists : can(regex("^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^,*?\\s]+|ssm:/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*|arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9_./-]+)(\\?(empty=allowed|owner=[0-9]{12})(&(empty=allowed|owner=[0-9]{12}))?)?$", list))
    ])
    error_message = "reference_lists is ${jsonencode(var.reference_lists)}; allowed are s3://BUCKET/KEY, ssm:NAME and the ARN of an SSM parameter, without comma, wildcard or white space, with ?empty=allowed or ?owner=ACCOUNT behind it if need be."
  }
}

variable "reference_lists_max_age_days" {
  description = "A list in `reference_lists` that was last changed more than this many days ago ends the run."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = floor(var.reference_lists_max_age_days) == var.reference_lists_max_age_days && var.reference_lists_max_age_days >= 1 && var.reference_lists_max_age_days <= 36500
    error_message = "reference_lists_max_age_days is ${var.reference_lists_max_age_days}; allowed are whole numbers from 1 to 36500."
  }
}

variable "inspector_coverage" {
  description = "Whether images that Amazon Inspector has seen in use (ECS and EKS) are kept as well, where its enhanced scanning is on."
  type        = bool
  default     = false
  nullable    = false
}

# When it runs

variable "schedule_expression" {
  description = "When the cleaner runs, as a cron(...) or rate(...) expression of EventBridge Scheduler."
  type        = string
  default     = "cron(0 0 * * ? *)"
  nullable    = false

  validation {
    condition     = can(regex("^(cron\\([^)\\s]+( [^)\\s]+){5}\\)|rate\\([1-9][0-9]* (minutes?|hours?|days?)\\))$", var.schedule_expression))
    error_message = "schedule_expression is \"${var.schedule_expression}\"; allowed are expressions such as cron(0 0 * * ? *) and rate(1 day)."
  }
}

variable "schedule_timezone" {
  description = "IANA time zone in which a cron expression is read, such as Europe/Warsaw."
  type        = string
  default     = "UTC"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_+/-]{0,49}$", var.schedule_timezone))
    error_message = "schedule_timezone is \"${var.schedule_timezone}\"; allowed are names of the IANA time zone database, such as Europe/Warsaw."
  }
}

variable "schedule_enabled" {
  description = "Whether the schedule starts the function."
  type        = bool
  default     = true
  nullable    = false
}

variable "run_interval_hours" {
  description = "Hours within which a run is due, the longest gap of the schedule; after twice as many without a run the alarm on silence goes off. Null: as rate(...) says, and 24 for a cron(...) of every day. Any other cron(...) needs it, unless silence_alarm_enabled is false."
  type        = number
  default     = null

  validation {
    condition     = var.run_interval_hours == null ? true : floor(var.run_interval_hours) == var.run_interval_hours && var.run_interval_hours >= 1 && var.run_interval_hours <= 84
    error_message = "run_interval_hours is ${coalesce(var.run_interval_hours, "null")}; allowed are null and whole hours from 1 to 84, because the alarm on silence waits for twice as many and CloudWatch looks back over seven days at most. For a schedule with longer gaps set silence_alarm_enabled to false."
  }
}

variable "on_failure_destination_arn" {
  description = "ARN of an SQS queue, SNS topic, Lambda function or EventBridge bus that is told of failed runs. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.on_failure_destination_arn == null ? true : can(regex("^arn:[^:]+:(sqs|sns|lambda|events):[^:*?]+:[0-9]{12}:[^*?]+$", var.on_failure_destination_arn))
    error_message = "on_failure_destination_arn is \"${var.on_failure_destination_arn == null ? "null" : var.on_failure_destination_arn}\"; allowed are null and the ARN of an SQS queue, SNS topic, Lambda function or EventBridge bus."
  }
}

variable "on_failure_destination_kms_key_arn" {
  description = "ARN of the KMS key of your own that encrypts the SQS queue or SNS topic of on_failure_destination_arn: the function needs it to write there. Null: none, or AWS's own key."
  type        = string
  default     = null

  validation {
    condition     = var.on_failure_destination_kms_key_arn == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^*?]+$", var.on_failure_destination_kms_key_arn))
    error_message = "on_failure_destination_kms_key_arn is \"${var.on_failure_destination_kms_key_arn == null ? "null" : var.on_failure_destination_kms_key_arn}\"; allowed are null and the ARN of a KMS key (not of an alias)."
  }

  validation {
    condition     = var.on_failure_destination_kms_key_arn == null ? true : can(regex("^arn:[^:]+:(sqs|sns):", var.on_failure_destination_arn))
    error_message = "on_failure_destination_kms_key_arn is for an SQS queue or SNS topic, and on_failure_destination_arn is ${var.on_failure_destination_arn == null ? "null" : var.on_failure_destination_arn}: leave the key null. The key of an EventBridge bus is used by EventBridge itself, which the key's policy has to allow."
  }
}

# How it is built

variable "image_uri" {
  description = "Image in a private ECR repository of this region to run, with tag or digest. Null: the module builds the image and pushes it to a repository of its own. Not an image in that repository, which the module destroys once image_uri is given."
  type        = string
  default     = null

  validation {
    condition     = var.image_uri == null ? true : can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.[a-z0-9.-]+/[a-z0-9._/-]+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$", var.image_uri))
    error_message = "image_uri is \"${var.image_uri == null ? "null" : var.image_uri}\"; allowed are null and an image in a private ECR repository with tag or digest, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0."
  }
}

variable "container_engine" {
  description = "Command that builds and pushes the image: docker, podman, finch or nerdctl."
  type        = string
  default     = "docker"
  nullable    = false

  validation {
    condition     = contains(["docker", "podman", "finch", "nerdctl"], var.container_engine)
    error_message = "container_engine is \"${var.container_engine}\"; allowed are docker, podman, finch and nerdctl."
  }
}

variable "extra_build_args" {
  description = "Further arguments of the engine's build command, such as [\"--network\", \"host\"] or [\"--build-arg\", \"BASE_IMAGE=mirror.example.com/lambda/python:3.13\"]."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for argument in var.extra_build_args : argument != ""])
    error_message = "extra_build_args is ${jsonencode(var.extra_build_args)}; none of the arguments may be empty."
  }
}

variable "build_environment" {
  description = "Further environment variables of the build, such as AWS_PROFILE if the provider's credentials do not come from the environment."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.build_environment), ["CONTAINER_ENGINE", "IMAGE_URI", "IMAGE_ARCHITECTURE", "IMAGE_REGION"])) == 0
    error_message = "build_environment is for other variables than CONTAINER_ENGINE, IMAGE_URI, IMAGE_ARCHITECTURE and IMAGE_REGION, which the module sets."
  }
}

# What it runs on

variable "architecture" {
  description = "Instruction set of the function and its image: arm64 or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture is \"${var.architecture}\"; allowed are arm64 and x86_64."
  }
}

variable "memory_size" {
  description = "Memory of the function in MB."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = floor(var.memory_size) == var.memory_size && var.memory_size >= 128 && var.memory_size <= 10240
    error_message = "memory_size is ${var.memory_size}; allowed are whole numbers from 128 to 10240."
  }
}

variable "timeout" {
  description = "Seconds after which a run is ended. It begins nothing new in the last 60 of them, and the next run goes on with what is left."
  type        = number
  default     = 900
  nullable    = false

  validation {
    # With less, runs would end well and hardly ever visit a repository.
    condition     = floor(var.timeout) == var.timeout && var.timeout >= 120 && var.timeout <= 900
    error_message = "timeout is ${var.timeout}; allowed are whole seconds from 120 to 900: a run begins nothing new in its last 60 seconds, and needs those before to find what is in use and to clean."
  }
}

variable "reserved_concurrent_executions" {
  description = "1 keeps two runs from overlapping, 0 stops the function. Null reserves nothing, as accounts with a low quota require."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrent_executions == null ? true : floor(var.reserved_concurrent_executions) == var.reserved_concurrent_executions && var.reserved_concurrent_executions >= 0
    error_message = "reserved_concurrent_executions is ${coalesce(var.reserved_concurrent_executions, "null")}; allowed are null and whole numbers of 0 or more."
  }
}

variable "vpc_subnet_ids" {
  description = "Subnets that the function runs in, with vpc_security_group_ids. They need a way to the AWS APIs. Empty: not in a VPC."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "vpc_security_group_ids" {
  description = "Security groups of the function, with vpc_subnet_ids."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = (length(var.vpc_subnet_ids) == 0) == (length(var.vpc_security_group_ids) == 0)
    error_message = "vpc_subnet_ids and vpc_security_group_ids belong together: give both or neither."
  }
}

# What guards it, and what it writes

variable "permissions_boundary" {
  description = "ARN of the IAM policy that bounds the module's roles. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null ? true : can(regex("^arn:[^:]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary is \"${var.permissions_boundary == null ? "null" : var.permissions_boundary}\"; allowed are null and the ARN of an IAM policy."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the log group, the function's settings, the image repository and the topic of the alarms. Its policy must let CloudWatch Logs and CloudWatch (for the alarms) use it. Null: AWS's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^*?]+$", var.kms_key_arn))
    error_message = "kms_key_arn is \"${var.kms_key_arn == null ? "null" : var.kms_key_arn}\"; allowed are null and the ARN of a KMS key (not of an alias)."
  }
}

variable "log_level" {
  description = "Least level of the lines that the function logs: DEBUG, INFO, WARNING or ERROR. Above INFO the line that ends a run is left out, and with it its metrics and the alarm on failed deletions; at ERROR the alarm on runs that visit no repository is lost as well."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level is \"${var.log_level}\"; allowed are DEBUG, INFO, WARNING and ERROR."
  }
}

variable "log_retention_days" {
  description = "Days that CloudWatch keeps the function's log lines. 0: for ever."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is ${var.log_retention_days}; allowed are 0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 and 3653."
  }
}

# What it shows

variable "saved_queries_enabled" {
  description = "Whether the queries of the module are saved in CloudWatch Logs Insights."
  type        = bool
  default     = true
  nullable    = false
}

variable "metrics_enabled" {
  description = "Whether CloudWatch takes metrics from the log: images and bytes removed, removable and kept, failures, what was left, broken references, duration."
  type        = bool
  default     = true
  nullable    = false
}

variable "alarms_enabled" {
  description = "Whether there are alarms: the function failed, deletions failed or no repository was visited (both need metrics_enabled), it has not run for two periods (needs silence_alarm_enabled)."
  type        = bool
  default     = true
  nullable    = false
}

variable "silence_alarm_enabled" {
  description = "Whether one of the alarms is on silence: it has not run for two periods of its schedule. Set it to false for a schedule with gaps of more than 84 hours, such as a weekly one, for CloudWatch looks back over seven days at most. None while schedule_enabled is false."
  type        = bool
  default     = true
  nullable    = false
}

variable "alarm_topic_arns" {
  description = "ARNs of the SNS topics that the alarms tell, five at most. Empty: the module makes one."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:[^:]+$", arn))])
    error_message = "alarm_topic_arns is ${jsonencode(var.alarm_topic_arns)}; allowed are ARNs of SNS topics."
  }

  validation {
    condition     = length(var.alarm_topic_arns) <= 5
    error_message = "alarm_topic_arns has ${length(var.alarm_topic_arns)} ARNs; CloudWatch allows 5."
  }
}

variable "alarm_emails" {
  description = "Addresses that are subscribed to the module's own topic. Each is asked to confirm first."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alarm_emails is ${jsonencode(var.alarm_emails)}; allowed are e-mail addresses."
  }

  validation {
    condition     = length(var.alarm_emails) == 0 || (length(var.alarm_topic_arns) == 0 && var.alarms_enabled)
    error_message = "alarm_emails are subscribed to the module's own topic: leave alarm_topic_arns empty and alarms_enabled true, or subscribe them to the topic yourself."
  }
}

variable "dashboard_enabled" {
  description = "Whether there is a CloudWatch dashboard: what it did last night, how much there is to gain, whether it is healthy."
  type        = bool
  default     = true
  nullable    = false
}
