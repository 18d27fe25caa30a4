locals {
  cluster_document_actions = local.permissions.optional["cluster-documents"]
  cluster_documents = [
    for address in var.cluster_documents : regex("^s3://(?P<bucket>[^/]+)/(?P<key>.*)$", address)
  ]
  cluster_document_prefixes = [
    for document in local.cluster_documents : document if document.key == "" || endswith(document.key, "/")
  ]

  cluster_documents_statement = length(local.cluster_documents) == 0 ? null : {
    Sid    = "ReadClusterDocuments"
    Effect = "Allow"
    Action = [for action in local.cluster_document_actions : action if action != "s3:ListBucket"]
    Resource = [
      for document in local.cluster_documents :
      "arn:${local.partition}:s3:::${document.bucket}/${document.key}${contains(local.cluster_document_prefixes, document) ? "*" : ""}"
    ]
  }

  # Also for documents that are named by their key: without it, S3 does not say that one is missing.
  list_cluster_documents_statement = length(local.cluster_documents) == 0 ? null : {
    Sid      = "ListClusterDocuments"
    Effect   = "Allow"
    Action   = [for action in local.cluster_document_actions : action if action == "s3:ListBucket"]
    Resource = distinct([for document in local.cluster_documents : "arn:${local.partition}:s3:::${document.bucket}"])
    Condition = {
      StringLike = {
        "s3:prefix" = distinct([for document in local.cluster_documents : "${document.key}${contains(local.cluster_document_prefixes, document) ? "*" : ""}"])
      }
    }
  }
}

# The function signs in to the clusters as its role. The group is bound to the ClusterRole in
# examples/in-cluster/cluster-role.yaml, which lists everything that is read.
resource "aws_eks_access_entry" "function" {
  for_each = toset(var.eks_clusters)

  cluster_name      = each.value
  principal_arn     = local.role_arn
  kubernetes_groups = ["ecr-cleaner"]
  type              = "STANDARD"
  tags              = var.tags
}
