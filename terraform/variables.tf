# Naming

variable "name" {
  description = "Name of the function, and prefix of the names of all other resources. Each instance in the same account and region needs a different name."
  type        = string
  default     = "ecr-cleaner"
  nullable    = false

  validation {
    # IAM role names have at most 64 characters. 32 leave room for the region and a suffix.
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name))
    error_message = "name is \"${var.name}\"; it must have 2 to 32 characters, only lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }

  validation {
    condition     = !var.memory_enabled || !anytrue([for prefix in ["xn--", "sthree-", "amzn-s3-demo-"] : startswith(var.name, prefix)])
    error_message = "name is \"${var.name}\"; it must not start with xn--, sthree- or amzn-s3-demo-, because S3 refuses such names of buckets. Use another name, or set memory_enabled to false."
  }
}

variable "tags" {
  description = "Tags for all resources of the module that accept tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

# Dry run and retention

variable "dry_run" {
  description = "Whether the cleaner only reports what it would remove. While this is true, IAM also denies the function all deleting and archiving."
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
    error_message = "default_keep_days is ${var.default_keep_days}; it must be a whole number of days from 0 to 36500."
  }
}

variable "min_keep_days" {
  description = "Floor under every number of days to keep: a repository tag, a rule or default_keep_days that asks for fewer days is raised to it. Whoever may tag a repository cannot change it."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = floor(var.min_keep_days) == var.min_keep_days && var.min_keep_days >= 0 && var.min_keep_days <= 36500
    error_message = "min_keep_days is ${var.min_keep_days}; it must be a whole number of days from 0 to 36500."
  }
}

variable "keep_count" {
  description = "Number of the newest unused releases of each repository that are kept regardless of their age: images with a tag, without referrers and caches of builds. The repository tag BoxCleanerKeepCount and repository_rules override it."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = floor(var.keep_count) == var.keep_count && var.keep_count >= 0 && var.keep_count <= 100000
    error_message = "keep_count is ${var.keep_count}; it must be a whole number from 0 to 100000."
  }
}

variable "keep_tag_patterns" {
  description = "Shell-style patterns, such as \"v*\" or \"release-?\". An image is kept if any of its tags matches any pattern."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    # The program refuses the same ones.
    condition     = alltrue([for pattern in var.keep_tag_patterns : can(regex("^([A-Za-z0-9_.*?-]|\\[!?[A-Za-z0-9_.-]+\\])+$", pattern))])
    error_message = "keep_tag_patterns is ${jsonencode(var.keep_tag_patterns)}; each must be a pattern of tags with no other characters than letters, digits, _ . - * ? and sets such as [0-9] or [!a]. Any other pattern matches no tag and keeps nothing."
  }
}

variable "keep_pulled_days" {
  description = "Images that were pulled within this many days are kept, even if no consumer is known. 0 turns this rule off. If it is set, an image that was never pulled counts as pulled when it was pushed. Null keeps images that were pulled within 35 days."
  type        = number
  default     = null

  validation {
    condition     = var.keep_pulled_days == null ? true : floor(var.keep_pulled_days) == var.keep_pulled_days && var.keep_pulled_days >= 0 && var.keep_pulled_days <= 36500
    error_message = "keep_pulled_days is ${coalesce(var.keep_pulled_days, "null")}; it must be null or a whole number of days from 0 to 36500."
  }
}

variable "untagged_keep_days" {
  description = "Images without a tag that no index lists are kept for this many days instead of default_keep_days. If the repository tag BoxCleanerKeepDays asks for more days, that applies. Null treats them as all others."
  type        = number
  default     = null

  validation {
    condition     = var.untagged_keep_days == null ? true : floor(var.untagged_keep_days) == var.untagged_keep_days && var.untagged_keep_days >= 0 && var.untagged_keep_days <= 36500
    error_message = "untagged_keep_days is ${coalesce(var.untagged_keep_days, "null")}; it must be null or a whole number of days from 0 to 36500."
  }
}

variable "keep_used_days" {
  description = "Images that were in use within this many days are kept, so that a rollback finds them. 0 turns this rule off. It needs memory_enabled."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = floor(var.keep_used_days) == var.keep_used_days && var.keep_used_days >= 0 && var.keep_used_days <= 365
    error_message = "keep_used_days is ${var.keep_used_days}; it must be a whole number of days from 0 to 365."
  }
}

variable "memory_enabled" {
  description = "Whether the module creates a bucket in which the function remembers which images were in use, and when, and in which it writes the plan of each run. If it is set to false, or name changes, the bucket is destroyed with all that is in it."
  type        = bool
  default     = true
  nullable    = false
}

variable "plans_kept_days" {
  description = "The plan of each run, and its page, are deleted from the module's bucket after this many days."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = floor(var.plans_kept_days) == var.plans_kept_days && var.plans_kept_days >= 1 && var.plans_kept_days <= 36500
    error_message = "plans_kept_days is ${var.plans_kept_days}; it must be a whole number of days from 1 to 36500."
  }
}

variable "approval" {
  description = "Whether the schedule only plans, and images are removed only by applying a plan: invoke the function with {\"apply\": \"s3://...\"}. It needs dry_run = false to remove anything, and memory_enabled."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.approval || var.memory_enabled
    error_message = "approval is true, but memory_enabled is false: the function would have no bucket to write its plans to, so there would be nothing to approve. Set memory_enabled = true."
  }
}

variable "approval_topic_arn" {
  description = "ARN of the SNS topic that receives a message about each plan that waits for approval, with the command that applies it. Not a FIFO topic. If a KMS key of yours encrypts it, allow the role of the function kms:Decrypt and kms:GenerateDataKey in the key policy. Null sends none. It needs approval."
  type        = string
  default     = null

  validation {
    condition     = var.approval_topic_arn == null ? true : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.approval_topic_arn))
    error_message = "approval_topic_arn is \"${var.approval_topic_arn == null ? "null" : var.approval_topic_arn}\"; it must be null or the ARN of an SNS topic that is not a FIFO topic."
  }

  validation {
    condition     = var.approval_topic_arn == null ? true : var.approval
    error_message = "approval_topic_arn is \"${var.approval_topic_arn == null ? "null" : var.approval_topic_arn}\", but approval is false: only runs that wait for approval send a message. Set approval = true, or leave approval_topic_arn null."
  }
}

variable "plan_max_age_days" {
  description = "A plan that was made more than this many days ago cannot be applied."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = floor(var.plan_max_age_days) == var.plan_max_age_days && var.plan_max_age_days >= 1 && var.plan_max_age_days <= 36500
    error_message = "plan_max_age_days is ${var.plan_max_age_days}; it must be a whole number of days from 1 to 36500."
  }
}

variable "price_per_gb_month" {
  description = "What a GB of image storage costs in a month, in dollars. Plans estimate costs with it."
  type        = number
  default     = 0.10
  nullable    = false

  validation {
    # The program refuses the same ones.
    condition     = can(regex("^[0-9]{1,6}(\\.[0-9]{1,6})?$", tostring(var.price_per_gb_month)))
    error_message = "price_per_gb_month is ${var.price_per_gb_month}; it must be a number of dollars from 0 to 999999 with at most six decimals."
  }
}

variable "events_enabled" {
  description = "Whether the function also learns of ECS tasks and Batch jobs that run only between its runs, by EventBridge events in a queue. It needs memory_enabled."
  type        = bool
  default     = true
  nullable    = false
}

variable "register_pull_exclusion" {
  description = "Whether a run that is not a dry run excludes the function's role from pull times in ECR, so that its reading of manifests does not look like pulls. The exclusion stays when the module is destroyed. If the role has a path, the function cannot find out its ARN: register the output role_arn yourself."
  type        = bool
  default     = true
  nullable    = false
}

variable "repository_filter" {
  description = "Patterns of repository names, in which * stands for any text and ? for one character. Only opted-in repositories that match one of them are cleaned, and IAM allows removals only there. An empty list matches all. To clean repositories of one region with different settings, use one instance for each group, with filters that do not overlap."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    # No brackets, which the program would understand and IAM would not.
    condition     = alltrue([for pattern in var.repository_filter : can(regex("^[a-z0-9._/*?-]+$", pattern))])
    error_message = "repository_filter is ${jsonencode(var.repository_filter)}; each pattern must consist of *, ? and characters of repository names: lower-case letters, digits, dots, hyphens, underscores and slashes."
  }
}

variable "repository_rules" {
  description = <<-EOT
    Settings for some repositories. The first rule whose pattern matches the name of a repository applies to it. Each rule is an
    object with the attributes `repositories` (list of shell-style patterns of repository names, required), `keep_days`,
    `keep_count`, `keep_pulled_days`, `untagged_keep_days` and `keep_used_days` (numbers), `keep_tag_patterns` (list of strings) and
    `waived_guards` (list of strings, added to those of the variable waived_guards). Attributes that a rule leaves out come from the other variables.
  EOT
  # Not list(object(...)): Terraform silently drops attributes that such a type does not name. With a
  # misspelt keep_days, the cleaner would then remove images that the rule was meant to keep.
  type     = any
  default  = []
  nullable = false

  validation {
    condition     = can([for rule in var.repository_rules : keys(rule)]) && !can(keys(var.repository_rules))
    error_message = "repository_rules is ${jsonencode(var.repository_rules)}; it must be a list of objects."
  }

  validation {
    condition = alltrue(flatten([
      for rule in try([for rule in var.repository_rules : rule], []) : [
        for key in try(keys(rule), []) : contains(["repositories", "keep_days", "keep_count", "keep_tag_patterns", "keep_pulled_days", "untagged_keep_days", "keep_used_days", "waived_guards"], key)
      ]
    ]))
    error_message = "repository_rules has attributes that do not exist: ${join(", ", distinct(flatten([
      for rule in try([for rule in var.repository_rules : rule], []) : [
        for key in try(keys(rule), []) : key if !contains(["repositories", "keep_days", "keep_count", "keep_tag_patterns", "keep_pulled_days", "untagged_keep_days", "keep_used_days", "waived_guards"], key)
      ]
    ])))}. The allowed attributes are repositories, keep_days, keep_count, keep_tag_patterns, keep_pulled_days, untagged_keep_days, keep_used_days and waived_guards."
  }

  validation {
    condition = alltrue([
      for rule in try([for rule in var.repository_rules : rule], []) :
      try(length(rule.repositories) > 0 && alltrue([for pattern in rule.repositories : can(regex("^\\S+$", pattern))]) && !can(tostring(rule.repositories)), false)
    ])
    error_message = "repository_rules is ${jsonencode(var.repository_rules)}; repositories of each rule must be a list of at least one pattern of repository names, such as [\"team-a/*\"]."
  }

  validation {
    condition = alltrue([
      for rule in try([for rule in var.repository_rules : rule], []) :
      try(rule.keep_tag_patterns, null) == null ? true : try(alltrue([for pattern in rule.keep_tag_patterns : can(regex("^([A-Za-z0-9_.*?-]|\\[!?[A-Za-z0-9_.-]+\\])+$", pattern))]) && !can(tostring(rule.keep_tag_patterns)), false)
    ])
    error_message = "repository_rules is ${jsonencode(var.repository_rules)}; keep_tag_patterns of a rule must be a list of patterns of tags, such as [\"v*\"], with no other characters than letters, digits, _ . - * ? and sets such as [0-9] or [!a]."
  }

  validation {
    condition = alltrue([
      for rule in try([for rule in var.repository_rules : rule], []) :
      try(rule.waived_guards, null) == null ? true : try(length(setsubtract(rule.waived_guards, local.guards)) == 0, false)
    ])
    error_message = "repository_rules is ${jsonencode(var.repository_rules)}; waived_guards of a rule must be a list, and the allowed guards are ${join(", ", local.guards)}."
  }

  validation {
    condition = alltrue(flatten([
      for rule in try([for rule in var.repository_rules : rule], []) : [
        for key, highest in { keep_days = 36500, keep_count = 100000, keep_pulled_days = 36500, untagged_keep_days = 36500, keep_used_days = 365 } :
        try(rule[key], null) == null ? true : try(floor(rule[key]) == tonumber(rule[key]) && rule[key] >= 0 && rule[key] <= highest, false)
      ]
    ]))
    error_message = "repository_rules is ${jsonencode(var.repository_rules)}; keep_days, keep_pulled_days and untagged_keep_days of a rule must be whole numbers from 0 to 36500, keep_count must be a whole number from 0 to 100000, and keep_used_days one from 0 to 365."
  }
}

# Removal and usage

variable "action" {
  description = "What happens to a removable image: \"delete\", or \"archive\", which moves it to the archive storage class of ECR, from which it can be restored."
  type        = string
  default     = "delete"
  nullable    = false

  validation {
    condition     = contains(["delete", "archive"], var.action)
    error_message = "action is \"${var.action}\"; it must be delete or archive."
  }
}

variable "archive_days" {
  description = "Archived images are permanently deleted this many days after they were archived. Null never deletes them."
  type        = number
  default     = null

  validation {
    condition     = var.archive_days == null ? true : floor(var.archive_days) == var.archive_days && var.archive_days >= 0 && var.archive_days <= 36500
    error_message = "archive_days is ${coalesce(var.archive_days, "null")}; it must be null or a whole number of days from 0 to 36500."
  }
}

variable "max_deletions" {
  description = "Maximum number of images that one run deletes or archives."
  type        = number
  default     = 10000
  nullable    = false

  validation {
    condition     = floor(var.max_deletions) == var.max_deletions && var.max_deletions >= 1 && var.max_deletions <= 1000000
    error_message = "max_deletions is ${var.max_deletions}; it must be a whole number from 1 to 1000000."
  }
}

variable "expect_no_usage" {
  description = "Whether the function may remove images although it found no image in use in the account. By default it removes nothing in that case, because the cause is usually a wrong region or a missing permission."
  type        = bool
  default     = false
  nullable    = false
}

variable "rescan_after_seconds" {
  description = "Before images are removed, usage is scanned again if the last scan is older than this many seconds."
  type        = number
  default     = 180
  nullable    = false

  validation {
    condition     = floor(var.rescan_after_seconds) == var.rescan_after_seconds && var.rescan_after_seconds >= 0 && var.rescan_after_seconds <= 900
    error_message = "rescan_after_seconds is ${var.rescan_after_seconds}; it must be a whole number of seconds from 0 to 900."
  }
}

variable "waived_sources" {
  description = "Usage sources that are not scanned and whose permissions the role does not get. Images that only these sources use count as unused, so waive only sources that no scanned account uses. Do not waive `lambda` while image_uri is in an opted-in repository."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.waived_sources, keys(local.permissions.usage))) == 0
    error_message = "waived_sources is ${jsonencode(var.waived_sources)}; the allowed sources are ${join(", ", keys(local.permissions.usage))}."
  }
}

variable "waived_guards" {
  description = <<-EOT
    Guards that are not checked and whose permissions the role does not get, unless something else needs them. A guard
    prevents removals in a repository if its images may have consumers that no scan can find: `eks-clusters` (a Kubernetes cluster was not read in full),
    `cross-account-pull` (a policy allows other accounts to pull) and `delete-replication` (a replication rule would repeat the
    deletion in another registry).
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.waived_guards, local.guards)) == 0
    error_message = "waived_guards is ${jsonencode(var.waived_guards)}; the allowed guards are ${join(", ", local.guards)}."
  }
}

variable "task_definition_revisions" {
  description = "Number of the newest active revisions of each ECS task definition family that count as in use, even if no task runs them."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = floor(var.task_definition_revisions) == var.task_definition_revisions && var.task_definition_revisions >= 0 && var.task_definition_revisions <= 100
    error_message = "task_definition_revisions is ${var.task_definition_revisions}; it must be a whole number from 0 to 100."
  }
}

variable "reference_lists" {
  description = "Lists of images that are in use outside AWS, each in an S3 object (s3://BUCKET/KEY) or in an SSM parameter (ssm:NAME or its ARN): a JSON array, one reference a line, or the output of `kubectl get pods -A -o json`. A list that cannot be read, is empty or too old, or names no image of this registry fails the run. Options follow a question mark: `?empty=allowed` if it may be empty, `?owner=ACCOUNT` if the bucket belongs to another account."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    # No comma, because the program reads the lists from one comma-separated setting. No wildcard,
    # because each list is a resource in the policy of the role.
    condition = alltrue([
      for list in var.reference_lists : can(regex("^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^,*?\\s]+|ssm:/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*|arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9_./-]+)(\\?(empty=allowed|owner=[0-9]{12})(&(empty=allowed|owner=[0-9]{12}))?)?$", list))
    ])
    error_message = "reference_lists is ${jsonencode(var.reference_lists)}; each entry must be s3://BUCKET/KEY, ssm:NAME or the ARN of an SSM parameter, without commas, wildcards and white space, optionally with ?empty=allowed or ?owner=ACCOUNT after it."
  }
}

variable "reference_lists_max_age_days" {
  description = "The run fails if a list in `reference_lists` was last changed more than this many days ago."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = floor(var.reference_lists_max_age_days) == var.reference_lists_max_age_days && var.reference_lists_max_age_days >= 1 && var.reference_lists_max_age_days <= 36500
    error_message = "reference_lists_max_age_days is ${var.reference_lists_max_age_days}; it must be a whole number of days from 1 to 36500."
  }
}

variable "inspector_coverage" {
  description = "Whether images that Amazon Inspector has seen in use on ECS or EKS are kept as well. This requires the enhanced scanning of Inspector."
  type        = bool
  default     = false
  nullable    = false
}

variable "inspector_administrator" {
  description = "Id of the account that is the delegated administrator of Amazon Inspector. Images that it sees in use in any of its members are kept as well. The function assumes the role scan_role_name there, also if the account is not in scan_accounts. Null asks only the account of the function. It needs inspector_coverage."
  type        = string
  default     = null

  validation {
    condition     = var.inspector_administrator == null ? true : can(regex("^[0-9]{12}$", var.inspector_administrator))
    error_message = "inspector_administrator is \"${var.inspector_administrator == null ? "null" : var.inspector_administrator}\"; it must be null or an account id of 12 digits."
  }

  validation {
    condition     = var.inspector_administrator == null ? true : var.inspector_coverage
    error_message = "inspector_administrator is \"${var.inspector_administrator == null ? "null" : var.inspector_administrator}\", but inspector_coverage is false: no coverage is read. Set inspector_coverage = true, or leave inspector_administrator null."
  }
}

# Regions and accounts

variable "scan_regions" {
  description = "Regions in which consumers are looked for, such as eu-west-1, in every scanned account. The region of the function is always scanned. An empty list means every region that is enabled in the account. Images that only consumers in other regions use count as unused."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for region in var.scan_regions : can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", region))])
    error_message = "scan_regions is ${jsonencode(var.scan_regions)}; each entry must be the name of a region, such as eu-west-1. An empty list means every enabled region."
  }
}

variable "scan_accounts" {
  description = "Other accounts in which consumers are looked for: ids of 12 digits, or [\"organization\"] for all active accounts of the organization. The function assumes the role scan_role_name in each of them, see modules/scan-role. An empty list means only the account of the function."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = jsonencode(distinct(var.scan_accounts)) == jsonencode(["organization"]) || alltrue([for account in var.scan_accounts : can(regex("^[0-9]{12}$", account))])
    error_message = "scan_accounts is ${jsonencode(var.scan_accounts)}; it must be a list of account ids of 12 digits, or [\"organization\"]."
  }
}

variable "scan_role_name" {
  description = "Name of the role that the function assumes in the accounts of scan_accounts and in inspector_administrator, with its path if it has one, such as platform/ecr-cleaner-scan."
  type        = string
  default     = "ecr-cleaner-scan"
  nullable    = false

  validation {
    condition     = can(regex("^([0-9A-Za-z_+=,.@-]+/)*[0-9A-Za-z_+=,.@-]{1,64}$", var.scan_role_name))
    error_message = "scan_role_name is \"${var.scan_role_name}\"; it must be the name of an IAM role, which has letters, digits and +=,.@_-, with its path if it has one, such as platform/ecr-cleaner-scan."
  }
}

variable "scan_external_id" {
  description = "External id that the function passes when it assumes the role scan_role_name. Null passes none."
  type        = string
  default     = null

  validation {
    condition     = var.scan_external_id == null ? true : can(regex("^[0-9A-Za-z_+=,.@:/-]+$", var.scan_external_id)) && length(var.scan_external_id) >= 2 && length(var.scan_external_id) <= 1224
    error_message = "scan_external_id is \"${var.scan_external_id == null ? "null" : var.scan_external_id}\"; it must be null or have 2 to 1224 letters, digits and +=,.@:/_-."
  }
}

variable "fan_out" {
  description = "Whether the schedule starts a Step Functions state machine that scans each account and region in a call of its own, instead of the function alone. For many accounts and regions. It needs memory_enabled."
  type        = bool
  default     = false
  nullable    = false
}

variable "max_scan_age_minutes" {
  description = "With fan_out: nothing is removed by a scan that began more than this many minutes ago."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = floor(var.max_scan_age_minutes) == var.max_scan_age_minutes && var.max_scan_age_minutes >= 1 && var.max_scan_age_minutes <= 1440
    error_message = "max_scan_age_minutes is ${var.max_scan_age_minutes}; it must be a whole number of minutes from 1 to 1440."
  }
}

# Kubernetes

variable "eks_clusters" {
  description = "Names of the EKS clusters of the region that the module lets the function read: each gets an access entry for the function's role, with the Kubernetes group ecr-cleaner. Apply examples/in-cluster/cluster-role.yaml in each cluster as well. Leave out clusters that another Terraform state gives the access entry."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.eks_clusters : can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", name))])
    error_message = "eks_clusters is ${jsonencode(var.eks_clusters)}; each entry must be the name of an EKS cluster."
  }
}

variable "waived_clusters" {
  description = "Names of Kubernetes clusters that are not read and do not prevent removals, because nothing in them runs images of this registry. Of an EKS cluster in another region or account, its ARN."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.waived_clusters : can(regex("^[^,\\s]+$", name))])
    error_message = "waived_clusters is ${jsonencode(var.waived_clusters)}; each entry must be the name of a cluster, without commas or white space."
  }
}

variable "waived_api_groups" {
  description = "API groups of custom resources, such as argoproj.io, that are not read in any Kubernetes cluster, because none of them refers to images of this registry."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for group in var.waived_api_groups : can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", group))])
    error_message = "waived_api_groups is ${jsonencode(var.waived_api_groups)}; each entry must be an API group with a dot, such as argoproj.io. The built-in groups with pods cannot be waived."
  }
}

variable "cluster_documents" {
  description = "Usage documents of Kubernetes clusters that the function cannot reach: s3://BUCKET/PREFIX/ for all below a prefix, or s3://BUCKET/KEY.json for one. The command scan-cluster writes them from within a cluster (examples/in-cluster)."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.cluster_documents : can(regex("^s3://[^/,*?\\s]+/([^,*?\\s]+/|[^,*?\\s]+\\.json)?$", address))])
    error_message = "cluster_documents is ${jsonencode(var.cluster_documents)}; each entry must be s3://BUCKET/PREFIX/ or s3://BUCKET/KEY.json, without wildcards."
  }
}

variable "cluster_document_minutes" {
  description = "Age in minutes up to which a usage document is believed. An older one prevents removals, as a cluster does that cannot be read."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = floor(var.cluster_document_minutes) == var.cluster_document_minutes && var.cluster_document_minutes >= 1 && var.cluster_document_minutes <= 1440
    error_message = "cluster_document_minutes is ${var.cluster_document_minutes}; it must be a whole number from 1 to 1440."
  }
}

# Schedule and failures

variable "schedule_expression" {
  description = "When the cleaner runs, as a cron(...) or rate(...) expression of EventBridge Scheduler."
  type        = string
  default     = "cron(0 0 * * ? *)"
  nullable    = false

  validation {
    condition     = can(regex("^(cron\\([^)\\s]+( [^)\\s]+){5}\\)|rate\\([1-9][0-9]* (minutes?|hours?|days?)\\))$", var.schedule_expression))
    error_message = "schedule_expression is \"${var.schedule_expression}\"; it must be a cron(...) expression with six fields, such as cron(0 0 * * ? *), or a rate(...) expression in minutes, hours or days, such as rate(1 day)."
  }
}

variable "schedule_timezone" {
  description = "IANA time zone of a cron(...) expression, such as Europe/Warsaw."
  type        = string
  default     = "UTC"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_+/-]{0,49}$", var.schedule_timezone))
    error_message = "schedule_timezone is \"${var.schedule_timezone}\"; it must be a name from the IANA time zone database, such as Europe/Warsaw."
  }
}

variable "schedule_enabled" {
  description = "Whether the schedule starts the function."
  type        = bool
  default     = true
  nullable    = false
}

variable "run_interval_hours" {
  description = "Longest time between two runs of the schedule, in hours. The silence alarm goes off after twice this time without a run. Null uses the interval of rate(...), or 24 for a cron(...) that runs every day. All other cron(...) expressions need a value, unless silence_alarm_enabled is false."
  type        = number
  default     = null

  validation {
    condition     = var.run_interval_hours == null ? true : floor(var.run_interval_hours) == var.run_interval_hours && var.run_interval_hours >= 1 && var.run_interval_hours <= 84
    error_message = "run_interval_hours is ${coalesce(var.run_interval_hours, "null")}; it must be null or a whole number of hours from 1 to 84, because the silence alarm waits for twice this time and CloudWatch evaluates at most seven days. If the schedule has longer gaps, set silence_alarm_enabled to false."
  }
}

variable "on_failure_destination_arn" {
  description = "ARN of an SQS queue, SNS topic, Lambda function or EventBridge bus that receives a message about each failed run. Null sends none."
  type        = string
  default     = null

  validation {
    condition     = var.on_failure_destination_arn == null ? true : can(regex("^arn:[^:]+:(sqs|sns|lambda|events):[^:*?]+:[0-9]{12}:[^*?]+$", var.on_failure_destination_arn))
    error_message = "on_failure_destination_arn is \"${var.on_failure_destination_arn == null ? "null" : var.on_failure_destination_arn}\"; it must be null or the ARN of an SQS queue, SNS topic, Lambda function or EventBridge bus, without wildcards."
  }
}

variable "on_failure_destination_kms_key_arn" {
  description = "ARN of the customer managed KMS key that encrypts the SQS queue or SNS topic of on_failure_destination_arn. The function needs this key to send messages there. Null if the destination uses no key or a key of AWS."
  type        = string
  default     = null

  validation {
    condition     = var.on_failure_destination_kms_key_arn == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^*?]+$", var.on_failure_destination_kms_key_arn))
    error_message = "on_failure_destination_kms_key_arn is \"${var.on_failure_destination_kms_key_arn == null ? "null" : var.on_failure_destination_kms_key_arn}\"; it must be null or the ARN of a KMS key, not of an alias, without wildcards."
  }

  validation {
    condition     = var.on_failure_destination_kms_key_arn == null ? true : can(regex("^arn:[^:]+:(sqs|sns):", var.on_failure_destination_arn))
    error_message = "on_failure_destination_kms_key_arn is \"${var.on_failure_destination_kms_key_arn == null ? "null" : var.on_failure_destination_kms_key_arn}\", but on_failure_destination_arn is ${var.on_failure_destination_arn == null ? "null" : var.on_failure_destination_arn}; the key must be null unless the destination is an SQS queue or SNS topic. If a key encrypts an EventBridge bus, the key policy must allow EventBridge to use it."
  }
}

# Image

variable "image_uri" {
  description = "Image that the function runs, in a private ECR repository of the same region, with a tag or digest. Null builds the image and pushes it to a repository that the module creates. Do not use an image in that repository, because the module destroys it once image_uri is set."
  type        = string
  default     = null

  validation {
    condition     = var.image_uri == null ? true : can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.[a-z0-9.-]+/[a-z0-9._/-]+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$", var.image_uri))
    error_message = "image_uri is \"${var.image_uri == null ? "null" : var.image_uri}\"; it must be null or an image in a private ECR repository, with a tag or digest, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0."
  }
}

variable "image_account_ids" {
  description = "Other accounts whose registries image_uri may name. By default, it must be in the account of the function, so that a mistyped account is refused."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.image_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "image_account_ids is ${jsonencode(var.image_account_ids)}; each entry must be an account ID of 12 digits."
  }
}

variable "build_image" {
  description = "Whether the module builds the image. Null builds it if image_uri is null. Set it to false if image_uri comes from a resource of the same apply, because Terraform must know during the plan what to create."
  type        = bool
  default     = null

  validation {
    condition     = var.build_image == null ? true : var.build_image == (var.image_uri == null)
    error_message = "build_image is ${coalesce(var.build_image, "null")}, but image_uri is ${var.image_uri == null ? "null" : "set"}; set image_uri if the module does not build the image, and leave it null if it does."
  }
}

variable "build_with" {
  description = "Where the module builds the image: \"local\" on the machine that runs Terraform, with container_engine and the AWS CLI, or \"codebuild\" in the account, with nothing but Terraform on this machine."
  type        = string
  default     = "local"
  nullable    = false

  validation {
    condition     = contains(["local", "codebuild"], var.build_with)
    error_message = "build_with is \"${var.build_with}\"; it must be local or codebuild."
  }

  validation {
    condition     = var.build_with != "codebuild" || length(var.build_environment) == 0
    error_message = "build_with is codebuild, but build_environment has the keys ${join(", ", keys(var.build_environment))}; leave build_environment empty, because it is for builds on the machine that runs Terraform."
  }
}

variable "container_engine" {
  description = "Command that builds and pushes the image if build_with is \"local\": docker, podman, finch or nerdctl."
  type        = string
  default     = "docker"
  nullable    = false

  validation {
    condition     = contains(["docker", "podman", "finch", "nerdctl"], var.container_engine)
    error_message = "container_engine is \"${var.container_engine}\"; it must be docker, podman, finch or nerdctl."
  }
}

variable "base_image" {
  description = "Base image of the image, such as public.ecr.aws/lambda/python:3.13 with a digest, or a mirror of it. Null uses the tag in the Dockerfile; set rebuild to build again with a newer image of that tag."
  type        = string
  default     = null

  validation {
    condition     = var.base_image == null ? true : can(regex("^[^\\s-][^\\s]*$", var.base_image))
    error_message = "base_image is \"${var.base_image == null ? "null" : var.base_image}\"; it must be null or the name of an image, without white space."
  }
}

variable "rebuild" {
  description = "Any text. A new value builds the image again, and pulls the base image again if base_image names it by a tag."
  type        = string
  default     = null
}

variable "extra_build_args" {
  description = "Additional arguments of the build command of the container engine, such as [\"--network\", \"host\"] or [\"--build-arg\", \"BASE_IMAGE=mirror.example.com/lambda/python:3.13\", \"--build-arg\", \"PIP_INDEX_URL=https://mirror.example.com/simple\"]."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for argument in var.extra_build_args : argument != ""])
    error_message = "extra_build_args is ${jsonencode(var.extra_build_args)}; it must not contain empty arguments."
  }
}

variable "build_environment" {
  description = "Additional environment variables of the build script if build_with is \"local\", such as AWS_PROFILE if the credentials of the provider do not come from the environment."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.build_environment), ["CONTAINER_ENGINE", "IMAGE_URI", "IMAGE_ARCHITECTURE", "IMAGE_REGION"])) == 0
    error_message = "build_environment has the keys ${join(", ", keys(var.build_environment))}; CONTAINER_ENGINE, IMAGE_URI, IMAGE_ARCHITECTURE and IMAGE_REGION are not allowed, because the module sets them."
  }
}

# Function

variable "architecture" {
  description = "Instruction set of the function and its image: arm64 or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture is \"${var.architecture}\"; it must be arm64 or x86_64."
  }
}

variable "memory_size" {
  description = "Memory of the function in MB."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = floor(var.memory_size) == var.memory_size && var.memory_size >= 128 && var.memory_size <= 10240
    error_message = "memory_size is ${var.memory_size}; it must be a whole number from 128 to 10240."
  }
}

variable "timeout" {
  description = "Maximum duration of a run in seconds. A run begins nothing new in its last 60 seconds, and the next run continues with the remaining work."
  type        = number
  default     = 900
  nullable    = false

  validation {
    # With less time, runs would succeed but visit hardly any repository.
    condition     = floor(var.timeout) == var.timeout && var.timeout >= 120 && var.timeout <= 900
    error_message = "timeout is ${var.timeout}; it must be a whole number of seconds from 120 to 900. A run begins nothing new in its last 60 seconds, and needs the time before that to scan usage and to remove images."
  }
}

variable "reserved_concurrent_executions" {
  description = "Reserved concurrency of the function. 1 prevents overlapping runs and 0 stops the function. Null reserves none, which accounts with a low concurrency quota require."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrent_executions == null ? true : floor(var.reserved_concurrent_executions) == var.reserved_concurrent_executions && var.reserved_concurrent_executions >= 0
    error_message = "reserved_concurrent_executions is ${coalesce(var.reserved_concurrent_executions, "null")}; it must be null or a whole number of 0 or more."
  }
}

variable "vpc_subnet_ids" {
  description = "Subnets that the function runs in. They need network access to the AWS APIs, through a NAT gateway or VPC endpoints, and vpc_security_group_ids must be set as well. An empty list runs the function outside a VPC."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "vpc_security_group_ids" {
  description = "Security groups of the function in the VPC. vpc_subnet_ids must be set as well."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = (length(var.vpc_subnet_ids) == 0) == (length(var.vpc_security_group_ids) == 0)
    error_message = "vpc_subnet_ids is ${jsonencode(var.vpc_subnet_ids)} and vpc_security_group_ids is ${jsonencode(var.vpc_security_group_ids)}; set both or neither."
  }
}

variable "https_proxy" {
  description = "Address of the HTTP proxy through which the function calls the AWS APIs and the API servers of Kubernetes clusters, such as http://proxy.example.com:3128. Null calls them directly. A password in it can be read in the configuration of the function."
  type        = string
  default     = null

  validation {
    condition     = var.https_proxy == null ? true : can(regex("^https?://[^/]+/?$", var.https_proxy))
    error_message = "https_proxy must be null or an address such as http://proxy.example.com:3128."
  }
}

variable "no_proxy" {
  description = "Hosts and domains that the function calls without the proxy, such as those of VPC endpoints. Ranges of addresses have no effect."
  type        = list(string)
  default     = []
  nullable    = false
}

# Security and logging

variable "create_role" {
  description = "Whether the module creates the role of the function. If it is false, role_arn must be set, and the role must have the permissions of the output role_policy."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.create_role == (var.role_arn == null)
    error_message = "create_role is ${var.create_role}, but role_arn is ${var.role_arn == null ? "null" : "set"}; set role_arn if the module does not create the role, and leave it null if it does."
  }
}

variable "role_arn" {
  description = "ARN of an existing role for the function. Null if the module creates the role."
  type        = string
  default     = null

  validation {
    condition     = var.role_arn == null ? true : can(regex("^arn:[^:]+:iam::[0-9]{12}:role/.+$", var.role_arn))
    error_message = "role_arn is \"${var.role_arn == null ? "null" : var.role_arn}\"; it must be null or the ARN of an IAM role."
  }
}

variable "iam_path" {
  description = "Path of the roles that the module creates."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([!-~]*/)?$", var.iam_path)) && length(var.iam_path) <= 512
    error_message = "iam_path is \"${var.iam_path}\"; it must begin and end with a slash, such as /platform/."
  }
}

variable "permissions_boundary" {
  description = "ARN of the IAM policy that is the permissions boundary of the module's roles. Null sets no boundary."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null ? true : can(regex("^arn:[^:]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary is \"${var.permissions_boundary == null ? "null" : var.permissions_boundary}\"; it must be null or the ARN of an IAM policy."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the log group, the environment variables of the function, the image repository and the alarm topic. The key policy must allow CloudWatch Logs and, for the alarms, CloudWatch to use it. Null uses the default encryption of each service."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^*?]+$", var.kms_key_arn))
    error_message = "kms_key_arn is \"${var.kms_key_arn == null ? "null" : var.kms_key_arn}\"; it must be null or the ARN of a KMS key, not of an alias, without wildcards."
  }
}

variable "log_level" {
  description = "Minimum log level: DEBUG, INFO, WARNING or ERROR. At WARNING and ERROR the summary line of a run is not logged, so the metrics that are taken from it and the alarm on failed deletions do not work. At ERROR the alarms on runs that visit no repository and on slow scans do not work either."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level is \"${var.log_level}\"; it must be DEBUG, INFO, WARNING or ERROR."
  }
}

variable "create_log_group" {
  description = "Whether the module creates the log group. If it is false, the log group must exist."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_group_name" {
  description = "Name of the log group. Null uses /aws/lambda/NAME. To keep the log if name changes, set it to the name of the existing log group."
  type        = string
  default     = null

  validation {
    condition     = var.log_group_name == null ? true : can(regex("^[A-Za-z0-9_/.#-]{1,512}$", var.log_group_name))
    error_message = "log_group_name is \"${var.log_group_name == null ? "null" : var.log_group_name}\"; it must be null or the name of a log group."
  }
}

variable "log_group_class" {
  description = "Class of the log group: STANDARD or INFREQUENT_ACCESS. The latter costs less but supports no metrics, so metrics_enabled must be false. A change replaces the log group."
  type        = string
  default     = "STANDARD"
  nullable    = false

  validation {
    condition     = contains(["STANDARD", "INFREQUENT_ACCESS"], var.log_group_class)
    error_message = "log_group_class is \"${var.log_group_class}\"; it must be STANDARD or INFREQUENT_ACCESS."
  }

  validation {
    condition     = var.log_group_class != "INFREQUENT_ACCESS" || !var.metrics_enabled
    error_message = "log_group_class is INFREQUENT_ACCESS, which supports no metric filters, but metrics_enabled is true. Set metrics_enabled to false."
  }
}

variable "log_group_skip_destroy" {
  description = "Whether the log group stays if it is destroyed or replaced in Terraform."
  type        = bool
  default     = false
  nullable    = false
}

variable "log_retention_days" {
  description = "Number of days that CloudWatch keeps the log of the function. 0 keeps it forever."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is ${var.log_retention_days}; it must be 0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

# Monitoring

variable "saved_queries_enabled" {
  description = "Whether the module saves its queries in CloudWatch Logs Insights."
  type        = bool
  default     = true
  nullable    = false
}

variable "metrics_enabled" {
  description = "Whether CloudWatch extracts metrics from the log: images and bytes removed and removable, images kept, failed deletions, images left for the next run, unvisited repositories, broken references, near misses, the duration of runs, runs that visit no repository, and slow scans."
  type        = bool
  default     = true
  nullable    = false
}

variable "alarms_enabled" {
  description = "Whether the module creates alarms: on failed runs, on failed deletions, on runs that visit no repository and on slow scans (these three need metrics_enabled), and on silence (needs silence_alarm_enabled)."
  type        = bool
  default     = true
  nullable    = false
}

variable "silence_alarm_enabled" {
  description = "Whether the module creates the silence alarm, which goes off if the function has not run for two periods of its schedule. Set it to false if the schedule has gaps of more than 84 hours, such as a weekly schedule, because CloudWatch evaluates at most seven days. There is no silence alarm while schedule_enabled is false."
  type        = bool
  default     = true
  nullable    = false
}

variable "alarm_topic_arns" {
  description = "ARNs of the SNS topics that the alarms notify, at most five. If the list is empty, the module creates a topic."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:[^:]+$", arn))])
    error_message = "alarm_topic_arns is ${jsonencode(var.alarm_topic_arns)}; each entry must be the ARN of an SNS topic."
  }

  validation {
    condition     = length(var.alarm_topic_arns) <= 5
    error_message = "alarm_topic_arns has ${length(var.alarm_topic_arns)} entries; it must have at most 5, because CloudWatch allows no more for an alarm."
  }
}

variable "alarm_emails" {
  description = "E-mail addresses that are subscribed to the topic that the module creates. Each recipient must confirm the subscription."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alarm_emails is ${jsonencode(var.alarm_emails)}; each entry must be an e-mail address."
  }

  validation {
    condition     = length(var.alarm_emails) == 0 || (length(var.alarm_topic_arns) == 0 && var.alarms_enabled)
    error_message = "alarm_emails is ${jsonencode(var.alarm_emails)}, but the module creates no alarm topic, because alarm_topic_arns is not empty or alarms_enabled is false. Leave alarm_emails empty, and subscribe the addresses to your own topic if you have one."
  }
}

variable "dashboard_enabled" {
  description = "Whether the module creates a CloudWatch dashboard, which shows what the latest run did, how much storage can be freed and whether the cleaner works."
  type        = bool
  default     = true
  nullable    = false
}
